"""The true causes of failed connections, which kafka-python shows in its log alone.

Every authentication, TLS and protocol fault looks like a retriable timeout to the caller, and at run time like nothing
at all. The cause stands as an exception among the arguments of a log record of `kafka.net`, or in its text.
"""

from __future__ import annotations

import logging
import threading

from tie_forwarder.publisher.errors import ErrorClass, Verdict, classify

_LOGGER = "kafka.net"


class Causes(logging.Handler):
    """Listens to kafka-python's network log and keeps the last cause of each kind. Thread-safe."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self._kept_lock = threading.Lock()
        self._blocked: Verdict | None = None
        self._last = ""

    def attach(self) -> None:
        """Starts to listen; the log itself stays as chatty as it was configured."""
        logging.getLogger(_LOGGER).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Runs on kafka-python's threads; never raises."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        errors = [item for item in arguments if isinstance(item, BaseException)]
        if record.exc_info and record.exc_info[1] is not None:
            errors.append(record.exc_info[1])
        errors.append(_LogText(record.getMessage()))
        for error in errors:
            verdict = classify(error)
            if verdict.error_class is ErrorClass.BLOCKED:
                with self._kept_lock:
                    self._blocked = verdict
                return
        with self._kept_lock:
            self._last = record.getMessage()[:300]

    def forget(self) -> None:
        """Call it when a connection has worked: what was before is over."""
        with self._kept_lock:
            self._blocked = None
            self._last = ""

    def explain(self, verdict: Verdict) -> Verdict:
        """The cause behind a transient verdict, where the log told one; else the verdict with the log's last words."""
        with self._kept_lock:
            blocked, last = self._blocked, self._last
        if verdict.error_class is not ErrorClass.TRANSIENT:
            return verdict
        if blocked is not None:
            return blocked
        return verdict._replace(detail=last) if last else verdict


class _LogText(Exception):  # noqa: N818 - a text that is classified like an error
    """A log line's text."""
