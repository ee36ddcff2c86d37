"""Kafka's errors in classes, by what the publisher does about them, and their true causes.

kafka-python shows TLS and authentication failures as time-outs; the cause is only in its log, where `Causes` listens.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from kafka.errors import BrokerResponseError, KafkaError, UnsupportedCodecError


class ErrorClass(StrEnum):
    """What an error means for what is in flight."""

    TRANSIENT = "transient"
    BLOCKED = "blocked"
    POISON = "poison"
    FENCED = "fenced"


class Verdict(NamedTuple):
    """An error translated. `code` is of a closed set and serves as a metric's label."""

    error_class: ErrorClass
    code: str
    detail: str
    remedy: str = ""


class PublisherError(Exception):
    """Ends the producer it comes from."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(f"{verdict.code}: {verdict.detail}")


_BLOCKED = ErrorClass.BLOCKED
_TRANSIENT = ErrorClass.TRANSIENT
_POISON = ErrorClass.POISON

_BY_NUMBER: dict[int, tuple[ErrorClass, str]] = {
    2: (_POISON, "invalid_record"),
    3: (_BLOCKED, "unknown_topic"),
    5: (_TRANSIENT, "leader_election"),
    6: (_TRANSIENT, "leader_election"),
    7: (_TRANSIENT, "timeout"),
    10: (_POISON, "too_large"),
    17: (_BLOCKED, "invalid_topic"),
    18: (_POISON, "too_large"),
    19: (_TRANSIENT, "not_enough_replicas"),
    20: (_TRANSIENT, "not_enough_replicas"),
    29: (_BLOCKED, "topic_authorization"),
    30: (_BLOCKED, "group_authorization"),
    31: (_BLOCKED, "cluster_authorization"),
    32: (_POISON, "invalid_timestamp"),
    33: (_BLOCKED, "sasl_mechanism"),
    34: (_BLOCKED, "sasl_mechanism"),
    35: (_BLOCKED, "unsupported_version"),
    43: (_BLOCKED, "unsupported_version"),
    44: (_POISON, "policy_violation"),
    47: (ErrorClass.FENCED, "fenced"),
    50: (_BLOCKED, "transactions_unavailable"),
    53: (_BLOCKED, "transactional_id_authorization"),
    54: (_BLOCKED, "sasl_mechanism"),
    58: (_BLOCKED, "authentication"),
    76: (_BLOCKED, "unsupported_codec"),
    87: (_POISON, "invalid_record"),
    89: (_TRANSIENT, "quota"),
    90: (ErrorClass.FENCED, "fenced"),
    100: (_TRANSIENT, "leader_election"),
    103: (_TRANSIENT, "leader_election"),
}

REMEDIES: dict[str, str] = {
    "unknown_topic": "create the topic; the forwarder never creates one",
    "invalid_topic": "correct the topic's name under kafka.topics",
    "topic_authorization": "grant this user Write and Describe (with exactly_once also Read) on the topic",
    "group_authorization": "grant this user what the broker's log says it lacks",
    "cluster_authorization": "grant this user Write on the topic, or IdempotentWrite on the cluster",
    "transactional_id_authorization": "grant this user Write and Describe on the transactional id, which is group.name",
    "transactions_unavailable": (
        "give the transaction log the replicas it needs and transaction.max.timeout.ms a minute,"
        " or set kafka.delivery: at_least_once"
    ),
    "authentication": "correct kafka.security.sasl username and password",
    "sasl_mechanism": "set kafka.security.protocol and sasl.mechanism to what the listener offers",
    "tls": "correct kafka.security: protocol, ca_file, certificate_file, key_file, or the broker's certificate",
    "unsupported_version": "use Apache Kafka 2.5 or newer, and a format that the topic accepts",
    "unsupported_codec": (
        "install the Python packages lz4, python-snappy and zstandard next to the forwarder;"
        " a codec that is none of theirs needs a newer tie-forwarder"
    ),
    "producer_options": "correct kafka.producer",
    "clock": "set the clocks of this machine and of the brokers",
    "connection": "see whether the brokers run and can be reached",
    "leader_election": "wait; if it lasts, start the missing brokers: one such partition holds up all events",
    "not_enough_replicas": "bring the missing brokers back",
    "quota": "wait, or raise the quota of this client on the brokers",
    "stuck": "none: the publisher is being replaced",
    "registry": "see whether the schema registry runs and can be reached",
    "registry_authentication": "correct kafka.schema_registry.username and its password",
    "registry_authorization": "let this user read and write the subjects of the topics, or register the schemas for it",
    "registry_tls": "correct kafka.schema_registry url and ca_file, or the registry's certificate",
    "registry_url": "correct kafka.schema_registry.url: it includes the path of the registry's Confluent API",
    "registry_incompatible": (
        "set the subject's compatibility to FORWARD, which takes new fields, or delete what others registered there"
    ),
    "registry_format": "set kafka.format back until the spool is empty, and change it then",
    "registry_refused": "see the registry's log; it must take JSON Schema",
    "registry_client": "install confluent-kafka[schemaregistry], which is the extra `registry` of this package",
    "open_transaction": (
        "wait until whoever holds the transaction ends it, or its time-out does;"
        " one that hangs ends by Kafka's kafka-transactions.sh abort"
    ),
}

_NUMBER_IN_TEXT = re.compile(r"\[Error (\d+)\]")
_LONGEST_DETAIL = 300


def classify(error: BaseException) -> Verdict:
    """The verdict on an exception of kafka-python. Never raises; an unknown error counts as transient, loudly."""
    detail = describe(error)
    number = _number(error)
    if number in _BY_NUMBER:
        error_class, code = _BY_NUMBER[number]
        return Verdict(error_class, code, detail, REMEDIES.get(code, ""))
    if isinstance(error, UnsupportedCodecError):
        return Verdict(_BLOCKED, "unsupported_codec", detail, REMEDIES["unsupported_codec"])
    text = str(error)
    if "part of a batch" in text:
        return Verdict(_POISON, "invalid_record", detail)
    if is_about_tls(text):
        return Verdict(_BLOCKED, "tls", detail, REMEDIES["tls"])
    if getattr(error, "retriable", False) or isinstance(error, OSError):
        return Verdict(_TRANSIENT, "connection", detail, REMEDIES["connection"])
    if isinstance(error, KafkaError):
        return Verdict(_TRANSIENT, "unknown", detail)
    if isinstance(error, (ValueError, TypeError, AssertionError)):
        return Verdict(_POISON, "invalid_record", detail)
    return Verdict(_TRANSIENT, "unknown", detail)


def is_about_tls(text: str) -> bool:
    """Whether TLS itself was refused. A connection that ends within a handshake may be a broker that stops."""
    if "UNEXPECTED_EOF" in text or "EOF occurred" in text:
        return False
    return "[SSL" in text or "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower()


def _number(error: BaseException) -> int | None:
    """Kafka's number of the error, also where kafka-python has wrapped it in a plain `KafkaError`."""
    if isinstance(error, BrokerResponseError) and error.errno is not None:
        return int(error.errno)
    for inner in error.args:
        if isinstance(inner, BaseException) and (number := _number(inner)) is not None:
            return number
    found = _NUMBER_IN_TEXT.search(str(error))
    return int(found.group(1)) if found else None


def describe(error: BaseException) -> str:
    """The error in one line: the class of its innermost cause and what that says."""
    cause = _innermost(error)
    name = type(cause).__name__
    text = str(cause)
    if isinstance(cause, KafkaError):
        # Its own text repeats class and number.
        text = "; ".join(filter(None, map(_plain, cause.args))) or getattr(cause, "description", None) or ""
    text = " ".join(text.split())
    while text.startswith(f"{name}: "):
        text = text[len(name) + 2 :]
    return f"{name}: {text}"[:_LONGEST_DETAIL] if text else name


def _innermost(error: BaseException) -> BaseException:
    for inner in error.args:
        if isinstance(inner, BaseException):
            return _innermost(inner)
    return error


def _plain(argument: object) -> str:
    if argument is None:  # what the broker did not say
        return ""
    if isinstance(argument, (set, frozenset)):
        return ", ".join(sorted(map(str, argument)))
    return str(argument)


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
