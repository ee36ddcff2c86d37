"""Taking up changes at run time: configuration (SIGHUP), renewed certificates and secrets, filter lists, log level.

What can be reloaded is; the log says what needs a restart. A child is replaced only if what it was made from has
changed and is valid.
"""

from __future__ import annotations

import hashlib
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tie_forwarder.config import Config, ConfigError
from tie_forwarder.config.inspection import Certificate, Inspection, inspect
from tie_forwarder.config.plain_file import read_file
from tie_forwarder.errors import ForwarderError
from tie_forwarder.filters import FilterSet, load_filters
from tie_forwarder.intake import Intake
from tie_forwarder.log import Log, set_level
from tie_forwarder.settings import publisher_configuration, receiver_configuration
from tie_forwarder.supervisor.guard import Guard
from tie_forwarder.supervisor.receiver_guard import ReceiverGuard

_MOST_BYTES = 4 * 1024 * 1024


class Inputs(NamedTuple):
    """Of both children; to be compared, and never shown: there are secrets in them."""

    receiver: object
    publisher: object


def inputs_of(config: Config, dxl_files: Iterable[Path]) -> Inputs:
    """What new children would be made from now. Reads files; never raises."""
    security = config.kafka.security
    files = (security.ca_file, security.certificate_file, security.key_file, config.kafka.schema_registry.ca_file)
    try:
        told: object = _without_log_level(publisher_configuration(config, resume=None))
    except ForwarderError as error:
        told = str(error)  # a secret cannot be read just now
    return Inputs(
        receiver=(_without_log_level(receiver_configuration(config)), _contents([config.dxl.config_file, *dxl_files])),
        publisher=(told, _contents(path for path in files if path is not None)),
    )


def _without_log_level(configuration: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in configuration.items() if name != "log_level"}


def _contents(paths: Iterable[Path]) -> list[tuple[Path, str]]:
    """Each file with the digest of its content, or with why it cannot be read."""
    found = []
    for path in paths:
        try:
            found.append((path, hashlib.sha256(read_file(path, most_bytes=_MOST_BYTES)).hexdigest()))
        except OSError as error:
            found.append((path, str(error.strerror)))
    return found


_BETWEEN_LOOKS_SECONDS = 10.0
_SETTLING_SECONDS = 2.0
"""Certificate and key are two files: whoever renews them is given time for both."""
_LOOKS_FOR_THE_ENDS = 60
"""Every so many looks the ends of the certificates are read again, too."""


class Certificates:
    """Knows what the last look has found; looks on a thread of its own, inspects in a process of its own."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        first: Inspection,
        in_use: Callable[[], Inputs],
        inspection: Callable[[Config], Inspection] = inspect,
    ) -> None:
        self._monotonic = monotonic
        self._inspect = inspection
        self._log = Log()
        self._in_use = in_use
        self.found = first
        """What was found in the files that are in use."""
        self._dxl_files = first.dxl_files
        self._next_look = monotonic() + _BETWEEN_LOOKS_SECONDS
        self._looks = 0
        self._looking: threading.Thread | None = None
        self._seen: Inputs | None = None
        self._refused: Inputs | None = None
        self._renewal: Inspection | None = None

    def current(self, config: Config) -> tuple[Certificate, ...]:
        """The certificates that could be read at the last look. Never blocks."""
        idle = self._looking is None or not self._looking.is_alive()
        if idle and self._monotonic() >= self._next_look:
            self._next_look = self._monotonic() + _BETWEEN_LOOKS_SECONDS
            self._looking = threading.Thread(target=self.look, args=(config,), name="certificates", daemon=True)
            self._looking.start()
        return tuple(self.found.certificates)

    def replace(self, found: Inspection) -> None:
        """Another has just looked, and the children are made from what is there now."""
        self.found = found
        self._dxl_files = found.dxl_files
        self._renewal = None

    def take_renewal(self) -> Inspection | None:
        """What was found in renewed files that are in order; once. None while there are none."""
        renewal, self._renewal = self._renewal, None
        return renewal

    def look(self, config: Config) -> None:
        """One look at the files. Blocks for the disk, and half a second where something has changed."""
        self._looks += 1
        now = inputs_of(config, self._dxl_files)
        before, self._seen = self._seen, now
        try:
            if now != self._in_use():
                self._look_at_the_change(config, now, settled=now == before)
            elif self._looks % _LOOKS_FOR_THE_ENDS == 0:
                self.found = self._inspect(config)
        except ForwarderError:
            return  # a machine without room for a process has louder troubles; the next look may work

    def _look_at_the_change(self, config: Config, now: Inputs, *, settled: bool) -> None:
        if not settled:
            self._next_look = self._monotonic() + _SETTLING_SECONDS
            return
        if now == self._refused:
            return  # it has been said
        found = self._inspect(config)
        changed_meanwhile = inputs_of(config, self._dxl_files) != now
        self._dxl_files = found.dxl_files
        if changed_meanwhile:
            return
        self._seen = inputs_of(config, found.dxl_files)  # dxlclient.config may name other files now
        if found.faults:
            self._refused = self._seen
            faults = [str(fault) for fault in found.faults]
            self._log.error("renewal.refused", faults=faults, effect="the connections go on as they are")
        else:
            self._refused, self._renewal = None, found


class Filtering:
    """Makes intake, and gives it its filters. One thread; intake may be at work on another."""

    def __init__(self, config: Config) -> None:
        self.intake = Intake(
            fabric=config.dxl.fabric,
            key_by=config.kafka.key,
            kinds=config.dxl.events,
            formats=config.kafka.format.by_kind(),
        )
        """It filters nothing before `load`."""
        self._log = Log()

    def load(self, config: Config) -> None:
        """Reads the lists for the first time. Blocks for the disk; raises ForwarderError when one cannot be used."""
        self._take(load_filters(config.filters))

    def load_again(self, config: Config) -> None:
        """Reads them again. Where one cannot be used, all filters stay as they were, and the log says so."""
        try:
            self._take(load_filters(config.filters))
        except ForwarderError as error:
            self._log.warning("filters.kept", fault=str(error), effect="the filters in force stay as they were")

    def _take(self, filters: FilterSet) -> None:
        changed = filters != self.intake.filters
        self.intake.filters = filters
        if changed:
            not_forwarded = [f"{each.name}: {each.meaning}" for each in filters.filters]
            self._log.info("filters.changed", not_forwarded=not_forwarded)


def set_log_level(level: str, guards: Sequence[Guard | ReceiverGuard]) -> None:
    """Set the level of this process and of its children. Main thread."""
    set_level(level)
    for guard in guards:
        guard.say({"verb": "log_level", "level": level})


_NEED_A_RESTART = {
    "dxl": {"fabric", "events", "canary_timeout_seconds"},
    "kafka": {"key", "format", "delivery"},
    "group": {"name", "member", "window_seconds"},
    "spool": {"directory", "max_bytes", "when_full", "commit_interval_ms"},
    "http": {"listen"},
    "log": {"format"},
}


@dataclass(frozen=True)
class Change:
    """The configuration that is in force from now on, and whose processes must be started again for it."""

    config: Config
    found: Inspection
    receiver: bool
    publisher: bool

    @property
    def new_processes(self) -> list[str]:
        """The names of those processes."""
        return [name for name in ("receiver", "publisher") if getattr(self, name)]


class Reload:
    """Loads the configuration again the way it was loaded at the start.

    A process whose part has not changed is left alone.
    """

    def __init__(self, load: Callable[[], tuple[Config, Inspection]]) -> None:
        self._load = load
        self.inputs = Inputs(None, None)
        """What the processes run with."""
        self._log = Log()

    def note(self, config: Config, found: Inspection) -> None:
        """Remembers what the processes run with, the content of their files included. Reads files."""
        self.inputs = inputs_of(config, found.dxl_files)

    def again(self, old: Config) -> Change | None:
        """The change against `old`; None, with the faults in the log, when the new one is wrong. Reads files."""
        log = self._log
        try:
            new, found = self._load()
        except Exception as error:  # noqa: BLE001 - an edge: the daemon outlives whatever it is given
            # Without the traceback, which may quote a secret.
            log.error("reload.refused", faults=_faults_of(error), effect="nothing has changed")  # noqa: TRY400
            return None
        changed = _changed_options(old, new)
        need_a_restart = [name for name in changed if _needs_a_restart(name)]
        change = self._change(_kept(old, new, need_a_restart), found)
        log.info(
            "reload.done",
            changed=[name for name in changed if name not in need_a_restart],
            need_a_restart=need_a_restart,
            new_processes=change.new_processes,
        )
        return change

    def renewed(self, config: Config, found: Inspection) -> Change:
        """The change where only the content of files is another one; `found` has no fault in them. Reads files."""
        change = self._change(config, found)
        self._log.info("renewal.done", new_processes=change.new_processes)
        return change

    def _change(self, config: Config, found: Inspection) -> Change:
        before = self.inputs
        self.note(config, found)
        return Change(
            config=config,
            found=found,
            receiver=self.inputs.receiver != before.receiver,
            publisher=self.inputs.publisher != before.publisher,
        )


def _faults_of(error: Exception) -> list[str]:
    """What the error says to a person. One that nobody foresaw is named, without its text."""
    if isinstance(error, ConfigError):
        return [str(fault) for fault in error.faults]
    if isinstance(error, ForwarderError):
        return [str(error)]
    place = traceback.extract_tb(error.__traceback__)[-1]
    return [f"an error of tie-forwarder itself: {type(error).__name__} in {place.name}, {place.filename}"]


def _changed_options(old: Config, new: Config) -> list[str]:
    before = old.model_dump()
    return [
        f"{section}.{option}"
        for section, options in new.model_dump().items()
        for option, value in options.items()
        if before[section][option] != value
    ]


def _needs_a_restart(name: str) -> bool:
    section, _, option = name.partition(".")
    return option in _NEED_A_RESTART.get(section, set())


def _kept(old: Config, new: Config, names: list[str]) -> Config:
    """The new configuration with the old values of what only a restart can change."""
    config = new
    for name in names:
        section, _, option = name.partition(".")
        part = getattr(config, section).model_copy(update={option: getattr(getattr(old, section), option)})
        config = config.model_copy(update={section: part})
    return config
