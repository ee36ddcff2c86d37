"""Taking up a changed configuration at run time: what can be reloaded is, what cannot is said."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tie_forwarder.config import Config, ConfigError
from tie_forwarder.config.inspection import Certificate, Inspection
from tie_forwarder.errors import ForwarderError
from tie_forwarder.log import Log, set_level
from tie_forwarder.supervisor.blueprint import publisher_configuration, receiver_configuration

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
    certificates: tuple[Certificate, ...]
    receiver: bool
    publisher: bool


class Reload:
    """Loads the configuration again the way it was loaded at the start.

    A process whose part has not changed is left alone: a new receiver misses what comes before it is subscribed.
    """

    def __init__(self, load: Callable[[], tuple[Config, Inspection]]) -> None:
        self._load = load
        self._receiver: object = None
        self._publisher: object = None

    def note(self, config: Config, certificates: Iterable[Certificate]) -> None:
        """Remembers what the processes run with, the state of their files included. Reads files."""
        self._receiver, self._publisher = _parts(config, certificates)

    def again(self, old: Config) -> Change | None:
        """The change against `old`; None, with the faults in the log, when the new one is wrong. Reads files."""
        log = Log()
        try:
            new, found = self._load()
        except ConfigError as error:
            faults = [str(fault) for fault in error.faults]
            log.error("reload.refused", faults=faults, effect="nothing has changed")  # noqa: TRY400 - not a traceback
            return None
        except (OSError, subprocess.SubprocessError) as error:
            log.error("reload.refused", faults=[str(error)], effect="nothing has changed")  # noqa: TRY400 - the same
            return None
        changed = _changed_options(old, new)
        need_a_restart = [name for name in changed if _needs_a_restart(name)]
        config = _kept(old, new, need_a_restart)
        before = self._receiver, self._publisher
        self.note(config, found.certificates)
        change = Change(
            config=config,
            certificates=tuple(found.certificates),
            receiver=self._receiver != before[0],
            publisher=self._publisher != before[1],
        )
        set_level(new.log.level)
        log.info(
            "reload.done",
            changed=[name for name in changed if name not in need_a_restart],
            need_a_restart=need_a_restart,
            new_processes=[name for name in ("receiver", "publisher") if getattr(change, name)],
        )
        return change


def _changed_options(old: Config, new: Config) -> list[str]:
    before = old.model_dump()
    return [
        f"{section}.{option}"
        for section, options in new.model_dump().items()
        for option, value in options.items()
        if before[section][option] != value
    ]


def _parts(config: Config, certificates: Iterable[Certificate]) -> tuple[object, object]:
    """What each process is made from; equal as long as a new one would be no other than the one that runs."""
    dxl = [certificate.path for certificate in certificates if certificate.role.startswith("dxl_")]
    security = config.kafka.security
    files = (security.ca_file, security.certificate_file, security.key_file, config.kafka.schema_registry.ca_file)
    kafka = [path for path in files if path is not None]
    try:
        publisher: object = _without_log_level(publisher_configuration(config, resume=None)), _states(kafka)
    except ForwarderError:
        publisher = object()  # a secret has just gone: equal to nothing
    return (_without_log_level(receiver_configuration(config)), _states([config.dxl.config_file, *dxl])), publisher


def _without_log_level(configuration: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in configuration.items() if name != "log_level"}


def _states(paths: Sequence[Path]) -> list[tuple[object, ...]]:
    """Tells a file that was written anew from one that was not."""
    states: list[tuple[object, ...]] = []
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            states.append((path,))
        else:
            states.append((path, found.st_ino, found.st_mtime_ns, found.st_size))
    return states


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
