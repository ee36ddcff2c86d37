"""Logging: one form for three processes, through structlog and the standard library.

An event is a dotted name with keys. The main process renders JSON, or coloured text on a terminal; a child always
writes JSON to standard error, which the parent logs again under the child's name. Nothing is logged per event above
DEBUG.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

import structlog

LEVELS = ("debug", "info", "warning", "error")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST_VALUE = 2_000


def _clean(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Text from outside must not be able to drive a terminal or forge a line."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = _CONTROL.sub("\ufffd", value.replace("\n", " "))[:_LONGEST_VALUE]
    return event


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _clean,
]


def configure(*, level: str, form: str) -> None:
    """Sets up the main process: `form` is auto, json or console; auto is console on a terminal."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    _configure(level, renderer)


def set_level(level: str) -> None:
    """Changes the level at run time."""
    logging.getLogger().setLevel(level.upper())


def _configure(level: str, renderer: structlog.typing.Processor) -> None:
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("dxlclient", "kafka", "waitress"):
        logging.getLogger(chatty).setLevel("DEBUG" if level == "debug" else "WARNING")


def relay(name: str, line: str) -> None:
    """Logs a line from a child's standard error again; what is not a log line is kept as the child's output."""
    log = structlog.stdlib.get_logger(name)
    try:
        fields = json.loads(line)
        level = fields.pop("level", "info")
        event = fields.pop("event")
        fields.pop("timestamp", None)
        fields.pop("process", None)
        log.log(getattr(logging, level.upper(), logging.INFO), event, process=name, **fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        if line.strip():
            log.warning("child.output", process=name, text=line.rstrip())
