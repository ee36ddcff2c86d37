"""Why an event became a dead letter: the closed set of reason codes, and the error that carries one.

The codes are the `reason` header of a dead letter and a metric label: they are never renamed, only added to.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A reason code (`.value`) with its one-sentence `description`."""

    description: str

    def __new__(cls, code: str, description: str = "") -> Reason:
        reason = str.__new__(cls, code)
        reason._value_ = code
        reason.description = description
        return reason

    NOT_UTF8 = "not_utf8", "The payload is not strict UTF-8."
    NOT_JSON = "not_json", "The payload is not JSON text, has a byte order mark, or escapes half of a surrogate pair."
    NOT_AN_OBJECT = "not_an_object", "The payload is JSON, but not an object."
    DUPLICATE_KEY = "duplicate_key", "An object in the payload has the same key twice."
    NAN = "nan", "The payload has NaN, Infinity or a number that no double can hold."
    TOO_LARGE = "too_large", "The payload is larger than 1 MiB."
    TOO_DEEP = "too_deep", "The payload nests objects and lists more than 64 deep."
    NO_HASHES = "no_hashes", "The event has no hash at all."
    BAD_HASH = "bad_hash", "A hash has no type or value, is not strict base64, has the wrong length, or occurs twice."
    BAD_REPUTATIONS = "bad_reputations", "Reputations are no list of objects with a provider each, or one occurs twice."
    BAD_FIELD = "bad_field", "A known field has a value of the wrong type or range."
    UNKNOWN_TOPIC = "unknown_topic", "The message came on a DXL topic of no enabled event kind."
    INTERNAL_ERROR = "internal_error", "The forwarder failed on this message; please report it with the payload."
    REFUSED_TOO_LARGE = "refused_too_large", "Kafka refused the record as too large; its value is cut to fit."
    REFUSED_INVALID = "refused_invalid", "Kafka refused the record as invalid."
    CORRUPT = "corrupt", "The record was damaged in the spool."


class InvalidEventError(Exception):
    """The payload is no valid event. `detail` names the place and what is expected there, never the value found."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.value}: {detail}")
