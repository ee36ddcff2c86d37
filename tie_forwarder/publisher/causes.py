"""The true causes of failed connections, which kafka-python shows in its log alone.

Every authentication, TLS and protocol fault looks like a retriable timeout to the caller, and at run time like nothing
at all. The cause stands as an exception among the arguments of a log record of `kafka.net`, or in its text.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from tie_forwarder.publisher.errors import ErrorClass, Verdict, classify

_LOGGER = "kafka.net"
_RECENT_SECONDS = 30.0
_LONGEST_TEXT = 300


class Causes(logging.Handler):
    """Listens to kafka-python's network log and keeps the last cause of each kind. Thread-safe."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(level=logging.WARNING)
        self._monotonic = monotonic
        self._throttled_until = 0.0
        self._kept_lock = threading.Lock()
        self._blocked: Verdict | None = None
        self._blocked_at = 0.0
        self._last = ""

    def attach(self) -> None:
        """Starts to listen; the log itself stays as chatty as it was configured."""
        logging.getLogger(_LOGGER).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Runs on kafka-python's threads; never raises."""
        try:
            self._note(record, record.getMessage())
        except Exception:  # noqa: BLE001 - a handler's edge: a log line that cannot be formatted tells no cause
            self.handleError(record)

    @property
    def throttled(self) -> bool:
        """Whether a quota of the brokers keeps this client waiting now."""
        return self._monotonic() < self._throttled_until

    def forget(self) -> None:
        """Call it when a connection has worked: what was before is over."""
        with self._kept_lock:
            self._blocked = None
            self._last = ""

    def explain(self, verdict: Verdict) -> Verdict:
        """The recent cause behind a transient verdict, where the log told one; else the verdict with its last words."""
        with self._kept_lock:
            blocked, last = self._blocked, self._last
            if self._monotonic() - self._blocked_at > _RECENT_SECONDS:
                blocked = None
        if verdict.error_class is not ErrorClass.TRANSIENT:
            return verdict
        if blocked is not None:
            return blocked
        return verdict._replace(detail=last) if last else verdict

    def _note(self, record: logging.LogRecord, text: str) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        if "throttled by broker" in str(record.msg):
            self._note_throttling(arguments)
            return
        errors = [item for item in arguments if isinstance(item, BaseException)]
        if record.exc_info and record.exc_info[1] is not None:
            errors.append(record.exc_info[1])
        verdicts = [classify(error) for error in errors]
        verdicts.append(classify(_LogText(text))._replace(detail=text[:_LONGEST_TEXT]))
        blocked = next((verdict for verdict in verdicts if verdict.error_class is ErrorClass.BLOCKED), None)
        with self._kept_lock:
            if blocked is None:
                self._last = text[:_LONGEST_TEXT]
            else:
                self._blocked, self._blocked_at = blocked, self._monotonic()

    def _note_throttling(self, arguments: tuple[object, ...]) -> None:
        milliseconds = arguments[-1] if arguments else 0
        if isinstance(milliseconds, (int, float)):
            self._throttled_until = max(self._throttled_until, self._monotonic() + milliseconds / 1000)


class _LogText(Exception):  # noqa: N818 - a text that is classified like an error
    """A log line's text."""
