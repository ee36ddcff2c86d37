"""Logging: one form for three processes, by the standard library alone, which keeps them small.

An event is a dotted name with keys. The main process writes JSON, or coloured text on a terminal; a child always writes
JSON to standard error, which the parent logs again under the child's name. Nothing is logged per event above DEBUG.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import datetime, timezone
from typing import Any

LEVELS = ("debug", "info", "warning", "error")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST_VALUE = 2_000
_PLAIN = re.compile(r"[\w./:@+-]+")
_EVENT_WIDTH = 24
_DIM, _BOLD, _CYAN, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[36m", "\x1b[0m"
_COLOURS = {"debug": "\x1b[34m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}


class Log:
    """Logs events with keys. Usable from any thread."""

    def __init__(self, name: str = "tie_forwarder") -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **keys: Any) -> None:
        """For whoever hunts a fault."""
        self.log(logging.DEBUG, event, keys)

    def info(self, event: str, **keys: Any) -> None:
        """Something that an operator may want to know has happened."""
        self.log(logging.INFO, event, keys)

    def warning(self, event: str, **keys: Any) -> None:
        """Something is not as it should be, and is being mended."""
        self.log(logging.WARNING, event, keys)

    def error(self, event: str, **keys: Any) -> None:
        """Something is not as it should be, and a person should look."""
        self.log(logging.ERROR, event, keys)

    def exception(self, event: str, **keys: Any) -> None:
        """An error, with the traceback of the exception being handled."""
        self._logger.error(event, exc_info=True, extra={"keys": keys})

    def log(self, level: int, event: str, keys: dict[str, Any]) -> None:
        """An event of any level."""
        self._logger.log(level, event, extra={"keys": keys})


class JsonLines(logging.Formatter):
    """One JSON object per record; a foreign record bears its logger's name."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; text from outside can neither drive a terminal nor forge another line."""
        return _CONTROL.sub("\ufffd", json.dumps(_fields(record), ensure_ascii=False, default=str))


class ConsoleLines(logging.Formatter):
    """Lines for people: time, level, event, keys; in colour on a terminal."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the traceback where there is one."""
        fields = _fields(record)
        time, level, event = fields.pop("timestamp"), fields.pop("level"), fields.pop("event")
        exception = _CONTROL.sub("\ufffd", fields.pop("exception", ""))
        pairs = [
            f"{self._in(_CYAN, _cleaned(name))}={_shown(value)}"
            for name, value in fields.items()
            if value not in ("", None)
        ]
        start = f"{self._in(_DIM, time)} {self._in(_COLOURS.get(level, ''), f'{level:<7}')}"
        line = " ".join([start, self._in(_BOLD, f"{event:<{_EVENT_WIDTH}}"), *pairs]).rstrip()
        return f"{line}\n{exception}".rstrip()

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours else text


def configure(*, level: str, form: str) -> None:
    """Sets up the main process: `form` is auto, json or console; auto is console on a terminal."""
    terminal = sys.stderr.isatty()
    console = form == "console" or (form == "auto" and terminal)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ConsoleLines(colours=terminal) if console else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("dxlclient", "kafka", "waitress"):
        logging.getLogger(chatty).setLevel("DEBUG" if level == "debug" else "WARNING")


def set_level(level: str) -> None:
    """Changes the level at run time."""
    logging.getLogger().setLevel(level.upper())


def relay(name: str, line: str) -> None:
    """Logs a line from a child's standard error again; what is not a log line is kept as the child's output."""
    log = Log(name)
    try:
        fields = json.loads(line)
        level = getattr(logging, str(fields.pop("level", "info")).upper(), logging.INFO)
        event = fields.pop("event")
        fields.pop("timestamp", None)
        log.log(level, event, {**fields, "process": name})
    except (ValueError, KeyError, TypeError, AttributeError):
        if line.strip():
            log.warning("child.output", process=name, text=line.rstrip())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
    fields = {
        "timestamp": time.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": _cleaned(record.getMessage()),
    }
    keys = getattr(record, "keys", None)
    if keys is None:
        fields["logger"] = record.name
    else:
        fields.update((name, value if name == "exception" else _cleaned(value)) for name, value in keys.items())
    if record.exc_info:
        fields["exception"] = "".join(traceback.format_exception(*record.exc_info))
    return fields


def _cleaned(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _CONTROL.sub("\ufffd", value.replace("\n", " "))[:_LONGEST_VALUE]


def _shown(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else repr(value)
