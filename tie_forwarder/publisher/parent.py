"""The publisher and its parent: reports as frames, grants, barriers, and log lines that repeat.

The order of the reports is part of the contract: after a barrier's answer, everything reported before it has been
applied. The publisher reads no further than it was granted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tie_forwarder.group.commands import NO_GAP, Gap, Leaving, Reason, Role
from tie_forwarder.kafka.errors import ErrorClass, PublisherError, Verdict
from tie_forwarder.kafka.producer import Refused
from tie_forwarder.kafka.tail import Found, Positions, TopicIds
from tie_forwarder.processes.frames import Kind, encode
from tie_forwarder.processes.link import ParentLink


class LinkReports:
    """Writes one frame per report; any thread."""

    def __init__(self, link: ParentLink) -> None:
        self._link = link

    def seen(self, found: Sequence[Found]) -> None:
        """These events stand in the output."""
        self._link.send(encode(Kind.SEEN, b"".join(item.event_id for item in found)))

    def live(self, topics: Sequence[str]) -> None:
        """Another member has just received and published events that came on these DXL topics."""
        self._report({"live": list(topics)})

    def published(self, positions: Sequence[int], seconds: float) -> None:
        """Kafka is proven to have the rows at these positions."""
        self._report({"published": ranges(positions), "seconds": seconds})

    def refused(self, refused: Refused) -> None:
        """Kafka refuses this row by itself."""
        verdict = refused.verdict
        told = {"position": refused.row.position, "code": verdict.code, "detail": verdict.detail}
        self._report({"refused": {**told, "letter_bytes": refused.letter_bytes}})

    def corrupt(self, positions: Sequence[int]) -> None:
        """These rows of the spool are damaged."""
        self._report({"corrupt": list(positions)})

    def unlisted(self, kind: str) -> None:
        """The spool has events of a kind that this process knows no topic for."""
        self._report({"unlisted": kind})

    def role(self, role: Role, reason: Reason | None) -> None:
        """What this member is now, and why."""
        self._report({"role": role.value, "reason": None if reason is None else reason.value})

    def remember(self, positions: Positions, topic_ids: TopicIds, memory: dict[str, Any]) -> None:
        """What the next publisher process of this member must know."""
        self._report({"remember": {"positions": positions, "topic_ids": topic_ids, "memory": memory}})

    def barrier(self, number: int) -> None:
        """Asks for an answer once everything before is applied."""
        self._report({"barrier": number})

    def compacted(self, topics: Sequence[str], remedy: str) -> None:
        """The output topics that are compacted; none when all is well."""
        self._report({"compacted": list(topics), "remedy": remedy})

    def error(self, verdict: Verdict) -> None:
        """Why this process ends."""
        self._report({"error": verdict_fields(verdict)})

    def status(self, body: dict[str, Any]) -> None:
        """The status of each second."""
        self._link.send_json(Kind.STATUS, body)

    def _report(self, body: dict[str, Any]) -> None:
        self._link.send_json(Kind.REPORT, body)


def ranges(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending positions as ranges, both ends included."""
    found: list[tuple[int, int]] = []
    for position in positions:
        if found and found[-1][1] == position - 1:
            found[-1] = (found[-1][0], position)
        else:
            found.append((position, position))
    return found


def verdict_fields(verdict: Verdict) -> dict[str, str]:
    """The verdict as JSON carries it."""
    return {
        "class": verdict.error_class.value,
        "code": verdict.code,
        "detail": verdict.detail,
        "remedy": verdict.remedy,
    }


class Grants:
    """The highest position granted by the main process, and the gap that it reported last. Thread-safe.

    The main process reports a gap before it grants what was received after it, and both come through the same pipe: so
    nothing from after the gap is read by a member that has not yet dealt with it.
    """

    def __init__(self, *, gap: Gap = NO_GAP) -> None:
        self._changed = threading.Condition()
        self._through = 0
        self._gap = gap
        self._closed = False

    @property
    def through(self) -> int:
        """The last position that may be read."""
        return self._through

    @property
    def closed(self) -> bool:
        """Whether nothing is to be read any more."""
        return self._closed

    @property
    def gap(self) -> Gap:
        """The last gap in this member's own receiving."""
        return self._gap

    def note_gap(self, gap: Gap) -> None:
        """There is another gap, or the last one has ended."""
        with self._changed:
            self._gap = gap
            self._changed.notify_all()

    def raise_to(self, through: int) -> None:
        """Grants more."""
        with self._changed:
            self._through = max(self._through, through)
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the reading."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_beyond(self, position: int, *, timeout_seconds: float, gap: int | None = None) -> int:
        """Block until more than `position` is granted and return the highest granted position.

        Return 0 after the timeout, when closed, or at a gap after `gap`; None means that gaps do not matter.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._has_gap_after(gap) or self._through > position, timeout_seconds
            )
            granted = not self._closed and not self._has_gap_after(gap) and self._through > position
            return self._through if granted else 0

    def _has_gap_after(self, gap: int | None) -> bool:
        return gap is not None and self._gap.number > gap


_BARRIER_SECONDS = 30.0


class Barriers:
    """The answers of the parent to `Reports.barrier`. Thread-safe."""

    def __init__(self) -> None:
        self._answered = threading.Condition()
        self._number = 0
        self._asked = 0

    def ask(self, ask: Callable[[int], None], *, stop: threading.Event) -> None:
        """Blocks until the parent has applied everything that was reported before. Raises Leaving on `stop`."""
        self._asked += 1
        ask(self._asked)
        give_up_at = time.monotonic() + _BARRIER_SECONDS
        with self._answered:
            while self._number < self._asked:
                self._answered.wait(0.1)
                if stop.is_set():
                    raise Leaving
                if time.monotonic() > give_up_at:
                    detail = "the main process does not confirm that the spool was brought up to date"
                    raise PublisherError(Verdict(ErrorClass.TRANSIENT, "spool", detail, "see whether the disk is full"))

    def answer(self, number: int) -> None:
        """The parent's answer."""
        with self._answered:
            self._number = max(self._number, number)
            self._answered.notify_all()


_AGAIN_SECONDS = 10.0
_TELLING_CHARACTERS = 60
_MOST_KEPT = 200


class Repeats(logging.Filter):
    """Lets a library's line of a kind through once in ten seconds, with the number of those held back. Thread-safe.

    Lines of a kind come from one logger and begin alike. Our own events pass, and so does everything at DEBUG.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._told: dict[tuple[str, str], tuple[float | None, int]] = {}

    def attach(self) -> None:
        """Filters what this process's log handlers are given."""
        for handler in logging.getLogger().handlers:
            handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Called by the handlers, one at a time each."""
        if hasattr(record, "keys") or record.levelno <= logging.DEBUG:
            return True
        kind = (record.name, str(record.msg)[:_TELLING_CHARACTERS])
        now = self._monotonic()
        told_at, held_back = self._told.get(kind, (None, 0))
        if told_at is not None and now - told_at < _AGAIN_SECONDS:
            self._told[kind] = (told_at, held_back + 1)
            return False
        if len(self._told) >= _MOST_KEPT:
            self._told.clear()
        self._told[kind] = (now, 0)
        if held_back:
            record.msg = f"{record.getMessage()} ({held_back} more like this)"
            record.args = None
        return True
