"""The log of a child process: JSON lines on standard error, by the standard library alone, which keeps the child small.

The parent logs each line again in its own form. An event is a dotted name; its keys come as `extra={"keys": {...}}`.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

_LIBRARIES = ("dxlclient", "dxltieclient", "kafka")
_SECRET_NAMES = ("password", "proxy")

_hidden: list[str] = []
"""Every secret that this process was told, as a log may quote it; the longest first."""


class JsonFormatter(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's level, event, keys, and for a foreign record its logger's name."""
        fields: dict[str, Any] = {"level": record.levelname.lower(), "event": record.getMessage()}
        keys = getattr(record, "keys", None)
        if keys is None:
            fields["logger"] = record.name
        else:
            fields.update(keys)
        if record.exc_info:
            fields["exception"] = "".join(traceback.format_exception(*record.exc_info))
        if _hidden:
            fields = {name: _without_secrets(value) for name, value in fields.items()}
        return json.dumps(fields, default=str)


def hide_secrets(configuration: Any) -> None:
    """Keeps the secrets in a child's configuration out of its log: at DEBUG kafka-python logs its own."""
    found = set(_secrets_in(configuration))
    forms = {form for secret in found for form in (secret, repr(secret)[1:-1], repr(secret.encode())[2:-1])}
    _hidden[:] = sorted(forms, key=len, reverse=True)


def _secrets_in(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for inner, part in value.items():
            yield from _secrets_in(part, inner)
    elif isinstance(value, str) and value and any(word in name for word in _SECRET_NAMES):
        yield value


def _without_secrets(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    text = str(value)
    for secret in _hidden:
        text = text.replace(secret, "***")
    return text


def configure(level: str) -> None:
    """Sets up the process's log; libraries are heard from WARNING on, or all at DEBUG."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel("DEBUG" if level == "debug" else "WARNING")
    # It warns of every turn of its event loop that took a tenth of a second, which a busy machine makes common.
    logging.getLogger("kafka.net.selector").setLevel("DEBUG" if level == "debug" else "ERROR")
    # It says at every start that the file has no section for WebSockets, which is the usual case.
    logging.getLogger("dxlclient.client_config").setLevel("DEBUG" if level == "debug" else "ERROR")


def log(level: int, event: str, **keys: Any) -> None:
    """Logs an event with keys."""
    logging.getLogger("tie_forwarder").log(level, event, extra={"keys": keys})


def log_exception(event: str) -> None:
    """Logs the exception being handled, with its traceback."""
    logging.getLogger("tie_forwarder").error(event, exc_info=True, extra={"keys": {}})


def stacks() -> str:
    """The stack of every thread of this process, its innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - there is no other way
    )
