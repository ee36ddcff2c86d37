"""Taking up a changed configuration at run time: what can be reloaded is, what cannot is said."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from tie_forwarder.config import Config, ConfigError
from tie_forwarder.config.inspection import Inspection
from tie_forwarder.errors import ForwarderError
from tie_forwarder.log import Log, set_level
from tie_forwarder.supervisor.inputs import Inputs, inputs_of

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
        set_level(new.log.level)
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
