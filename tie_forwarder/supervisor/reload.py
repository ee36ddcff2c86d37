"""Taking up a changed configuration at run time: what can be reloaded is, what cannot is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tie_forwarder.config import Config, ConfigError
from tie_forwarder.log import set_level

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
    receiver: bool
    publisher: bool


class Reload:
    """Loads the configuration again the way it was loaded at the start."""

    def __init__(self, load: Callable[[], Config]) -> None:
        self._load = load

    def again(self, old: Config) -> Change | None:
        """The change against `old`; None, with the faults in the log, when the new one is wrong. Reads files."""
        log = structlog.stdlib.get_logger()
        try:
            new = self._load()
        except ConfigError as error:
            faults = [str(fault) for fault in error.faults]
            log.error("reload.refused", faults=faults, effect="nothing has changed")  # noqa: TRY400 - not a traceback
            return None
        before, after = old.model_dump(), new.model_dump()
        changed = [
            f"{section}.{option}"
            for section, options in after.items()
            for option, value in options.items()
            if before[section][option] != value
        ]
        need_a_restart = [name for name in changed if _needs_a_restart(name)]
        set_level(new.log.level)
        log.info(
            "reload.done",
            changed=[name for name in changed if name not in need_a_restart],
            need_a_restart=need_a_restart,
        )
        # The children are started again also when nothing changed: certificates and secrets live in files beside it.
        return Change(config=_kept(old, new, need_a_restart), receiver=True, publisher=True)


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
