"""Logging for three processes, by the standard library alone: JSON, console or journal lines, and counted repeats.

A message that repeats is written a few times a minute, then counted. Values are made printable, so that nothing from
the fabric can forge a line or drive a terminal.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from tie_forwarder.printing import neutral

WINDOW_SECONDS = 60.0
WRITTEN_IN_A_WINDOW = 5

_MOST_WINDOWS = 1_000
_DIGITS = re.compile(r"[0-9]+")


@dataclass
class _Window:
    began_at: float
    written: int
    unwritten: int
    last: logging.LogRecord


class Repeats(logging.Filter):
    """A filter of one handler. What is below INFO always passes: it is for whoever hunts a fault. Thread-safe."""

    def __init__(
        self, write: Callable[[logging.LogRecord], object], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._write = write
        self._monotonic = monotonic
        self._windows: dict[Any, _Window] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written now."""
        if record.levelno < logging.INFO or hasattr(record, "repeated"):
            return True
        now = self._monotonic()
        if len(self._windows) >= _MOST_WINDOWS:
            self.tell()
        with self._lock:
            same = _same(record)
            window = self._windows.get(same)
            if window is None or now - window.began_at >= WINDOW_SECONDS:
                if len(self._windows) >= _MOST_WINDOWS and window is None:
                    return True  # so many different things are said that none of them is a repeat
                self._windows[same] = _Window(now, 1, 0, record)
                _count(record, window.unwritten if window else 0)
                return True
            window.last = record
            if window.written < WRITTEN_IN_A_WINDOW:
                window.written += 1
                return True
            window.unwritten += 1
            return False

    def tell(self, *, at_the_end: bool = False) -> None:
        """Writes the counts that are due, or all of them; cheap, to be called now and then."""
        now = self._monotonic()
        with self._lock:
            over = [
                (same, window)
                for same, window in self._windows.items()
                if at_the_end or now - window.began_at >= WINDOW_SECONDS
            ]
            for same, _ in over:
                del self._windows[same]
        for _, window in over:
            if window.unwritten:
                record = logging.makeLogRecord(dict(window.last.__dict__))
                _count(record, window.unwritten)
                self._write(record)


def _same(record: logging.LogRecord) -> Any:
    keys = getattr(record, "keys", None) or {}
    texts = [f"{name}={value}" for name, value in keys.items() if not isinstance(value, int | float)]
    return record.levelno, record.name, _DIGITS.sub("#", "\0".join((record.getMessage(), *texts)))


def _count(record: logging.LogRecord, repeated: int) -> None:
    if repeated:
        keys = getattr(record, "keys", None)
        record.__dict__["keys"] = {**({"logger": record.name} if keys is None else keys), "repeated": repeated}
        record.__dict__["repeated"] = repeated


LEVELS = ("debug", "info", "warning", "error")

_LONGEST_VALUE = 2_000
_LONGEST_EXCEPTION = 20_000
_LIBRARIES = ("dxlclient", "kafka", "waitress")
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY = 7
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
        return neutral(json.dumps(_fields(record), ensure_ascii=False, default=str))


class ConsoleLines(logging.Formatter):
    """Lines for people: time, level, event, keys; in colour on a terminal."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the traceback where there is one."""
        fields = _fields(record)
        time, level, event = fields.pop("timestamp"), fields.pop("level"), fields.pop("event")
        # Indented, lest a line of it pass for one of the log.
        exception = "".join(f"\n    {line}" for line in _excerpt(fields.pop("exception", "")).splitlines())
        pairs = [
            f"{self._in(_CYAN, _cleaned(name))}={neutral(_shown(value))}"
            for name, value in fields.items()
            if value not in ("", None)
        ]
        start = f"{self._in(_DIM, time)} {self._in(_COLOURS.get(level, ''), f'{level:<7}')}"
        line = " ".join([start, self._in(_BOLD, f"{event:<{_EVENT_WIDTH}}"), *pairs]).rstrip()
        return f"{line}{exception}"

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours else text


class JournalLines(logging.Formatter):
    """The lines of another form, each with its priority in front, which the journal takes off."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Every line on its own: the journal knows no others."""
        priority = next((number for least, number in _PRIORITIES if record.levelno >= least), _DEBUG_PRIORITY)
        return "\n".join(f"<{priority}>{line}" for line in self._inner.format(record).split("\n"))


class Handler(logging.StreamHandler[TextIO]):
    """Writes to standard error, and counts what is said again and again."""

    def __init__(self, form: logging.Formatter) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(form)
        self.repeats = Repeats(self.handle)
        self.addFilter(self.repeats)


def configure(*, level: str, form: str, environ: Mapping[str, str] = os.environ) -> None:
    """Sets up the main process: `form` is auto, json or console; auto is console on a terminal."""
    terminal = sys.stderr.isatty()
    console = form == "console" or (form == "auto" and terminal)
    lines: logging.Formatter = ConsoleLines(colours=terminal) if console else JsonLines()
    root = logging.getLogger()
    root.handlers[:] = [Handler(JournalLines(lines) if _is_journal(environ) else lines)]
    set_level(level)


def set_level(level: str) -> None:
    """Changes the level, also at run time; libraries are heard from WARNING on, or all at DEBUG."""
    logging.getLogger().setLevel(level.upper())
    for chatty in _LIBRARIES:
        logging.getLogger(chatty).setLevel("DEBUG" if level == "debug" else "WARNING")


def tell_repeats(*, at_the_end: bool = False) -> None:
    """Writes how often what was not written any more has been said, where that is due."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Handler):
            handler.repeats.tell(at_the_end=at_the_end)


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
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
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
        fields["exception"] = "".join(traceback.format_exception(*record.exc_info))[-_LONGEST_EXCEPTION:]
    return fields


def _is_journal(environ: Mapping[str, str]) -> bool:
    """Whether standard error is the journal's socket, as JOURNAL_STREAM names it (systemd.exec(5))."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _excerpt(exception: Any) -> str:
    """The traceback, which keeps its lines; of one out of all proportion the end, where the error is."""
    return "\n".join(map(neutral, str(exception)[-_LONGEST_EXCEPTION:].split("\n")))


def _cleaned(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return neutral(value[:_LONGEST_VALUE].replace("\n", " ").replace("\t", " "))


def _shown(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else repr(value)
