"""How much is logged at run time: by a changed configuration, or by the wish that `tie-forwarder log-level` leaves."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tie_forwarder.config import Config
from tie_forwarder.log import Log, set_level
from tie_forwarder.log_level import take
from tie_forwarder.supervisor.guard import Guard
from tie_forwarder.supervisor.receiver_guard import ReceiverGuard


class Verbosity:
    """The log level of all three processes. Main thread."""

    def __init__(self, guards: Sequence[Guard | ReceiverGuard]) -> None:
        self._guards = guards
        self._log = Log()

    def look(self, config: Config) -> Config:
        """The configuration with the level that was wished for, which is then in force. One look at the disk."""
        level = take(config.spool.directory)
        if level is None:
            return config
        self.set(level)
        return config.model_copy(update={"log": config.log.model_copy(update={"level": level})})

    def set(self, level: str) -> None:
        """This level from now on. It is told at the more talkative of both levels."""
        before, after = logging.getLogger().level, logging.getLevelName(level.upper())
        if after > before:
            self._log.info("log.level_changed", to=level)
        set_level(level)
        if after < before:
            self._log.info("log.level_changed", to=level)
        for guard in self._guards:
            guard.say({"verb": "log_level", "level": level})
