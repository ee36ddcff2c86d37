"""The other members of the group, as heard on the fabric, and the gaps in this member's own receiving.

Also notices that a broker withholds a topic: others publish events that do not arrive here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tie_forwarder.group.commands import NO_GAP, Gap
from tie_forwarder.log import Log
from tie_forwarder.spool.files import open_file

FILE_NAME = "members.json"
RECENT_SECONDS = 180.0
"""A member that was not heard for so long does not count."""

_MOST_PEERS = 20
_MOST_BYTES = 16_384
_LONGEST_NAME = 200
_WRITE_EVERY_SECONDS = 60.0
_WRITE_NEW_EVERY_SECONDS = 5.0


class Peers:
    """Who was heard, and the last gap. The flow thread writes; `load` and `save` belong to the main thread."""

    def __init__(
        self,
        *,
        directory: Path,
        own: str,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path = directory / FILE_NAME
        self._own = own
        self._monotonic = monotonic
        self._now = now
        self._log = Log()
        self._saved: Mapping[str, float] = {}
        self._saved_at: float | None = None
        self._leaving = False
        self.heard_at: Mapping[str, float] = {}
        """When each member was last heard, in seconds since the epoch; never changed in place."""
        self.gap: Gap = NO_GAP
        """The last gap of this process."""

    def load(self) -> None:
        """Read who was heard shortly before this start. Whatever is wrong with the file, it counts as empty."""
        found = _read(self._path)
        self._saved = self.heard_at = {
            name: heard for name, heard in found.items() if name != self._own and self._is_recent(heard)
        }
        self._look(hears=False)

    def hear(self, names: Iterable[str]) -> None:
        """These members were heard just now; this member's own name does not count."""
        heard = dict(self.heard_at)
        for name in names:
            if name != self._own and _is_name(name):
                heard.pop(name, None)
                heard[name] = self._now()
        for forgotten in list(heard)[:-_MOST_PEERS]:
            del heard[forgotten]
        self.heard_at = heard

    def look(self, *, hears: bool) -> Gap:
        """Note whether this member can receive now; returns the last gap."""
        if not self._leaving:
            self._look(hears=hears)
        return self.gap

    def leave(self) -> None:
        """This process is to stop: that it does not receive any more is no gap."""
        self._leaving = True

    def save(self) -> None:
        """Keep who was heard for the next start, at most every few seconds. Never raises."""
        now = self._monotonic()
        if self._saved_at is not None:
            pause = _WRITE_EVERY_SECONDS if self.heard_at.keys() == self._saved.keys() else _WRITE_NEW_EVERY_SECONDS
            if now - self._saved_at < pause:
                return
        if self.heard_at == self._saved:
            return
        self._saved, self._saved_at = self.heard_at, now
        try:
            _write(self._path, self._saved)
        except OSError as error:
            self._log.debug("members.not_kept", file=str(self._path), error=str(error))

    def _look(self, *, hears: bool) -> None:
        if hears:
            if self.gap.is_open:
                self.gap = self.gap._replace(is_open=False)
            return
        if self.gap.is_open or not any(map(self._is_recent, self.heard_at.values())):
            return
        self.gap = Gap(self.gap.number + 1, is_open=True)

    def _is_recent(self, heard: float) -> bool:
        return abs(self._now() - heard) < RECENT_SECONDS


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable()


def _read(path: Path) -> dict[str, float]:
    try:
        with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
        return {name: float(heard) for name, heard in list(found.items())[:_MOST_PEERS] if _is_name(name)}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return {}


def _write(path: Path, heard: Mapping[str, float]) -> None:
    """Replaces the file whole; whatever stands at either name, a link included, is replaced, not followed."""
    new = path.with_name(f"{path.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()
    with os.fdopen(open_file(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w") as file:
        json.dump({name: round(at, 3) for name, at in heard.items()}, file)
    new.rename(path)


_OCCASIONS = 3
_LATE_SHARE = 0.25
"""How late an event may arrive, as a share of the time for which it counts as live."""


@dataclass
class _Missing:
    """What other members have published of one topic since this one last received something on it."""

    last_at: float
    occasions: int = 1


class WithheldTopics:
    """Compares topics that others publish with topics that arrive. `look` is for the main thread, the rest for one.

    A topic is withheld when others published events on it on three occasions, each longer apart than an event counts as
    live, and nothing arrived on it meanwhile. So neither history, nor a backlog, nor a burst that was missed while a
    receiver was replaced makes it so. Any event on the topic ends it, whatever becomes of the event.
    """

    def __init__(
        self, *, topics: Iterable[str], live_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`topics` are those that this member listens to; `live_seconds` is how old a live event may be."""
        self._topics = frozenset(topics)
        self._live_seconds = live_seconds
        self._late_seconds = _LATE_SHARE * live_seconds
        self._monotonic = monotonic
        self._missing: dict[str, _Missing] = {}
        self._ready_since: float | None = None

    def on_received(self, topics: Iterable[str]) -> None:
        """Events have arrived on these topics."""
        if self._missing:
            for topic in topics:
                self._missing.pop(topic, None)

    def on_live(self, topics: Iterable[str]) -> None:
        """Others have published events on these topics that they had just received."""
        now, since = self._monotonic(), self._ready_since
        if since is None or now - since < self._live_seconds + self._late_seconds:
            return  # the events may be older than this member's subscription
        for topic in self._topics.intersection(topics):
            missing = self._missing.get(topic)
            if missing is None:
                self._missing[topic] = _Missing(now)
            elif now - missing.last_at > self._live_seconds:
                missing.last_at = now
                missing.occasions += 1

    def look(self, *, ready: bool) -> None:
        """Whether the receiver is subscribed and hears its canary: what is missed otherwise has another cause."""
        if not ready:
            self._ready_since = None
            self._missing = {}
        elif self._ready_since is None:
            self._ready_since = self._monotonic()

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics on which others receive events and this member does not."""
        late = self._monotonic() - self._late_seconds
        # The last occasion counts once its event has had the time to arrive.
        return tuple(
            sorted(
                topic
                for topic, missing in list(self._missing.items())
                if missing.occasions - (missing.last_at > late) >= _OCCASIONS
            )
        )
