"""The field types that the event models share: hashes, and integers as lenient as TIE's producers need."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tie_forwarder.events.reasons import InvalidEventError, Reason

DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32}

STRENGTH = ("sha256", "sha1", "md5")
"""The known types, the strongest first."""

_MAX_TYPE_LENGTH = 32


def hex_digests(wire: Any, *, place: str = "hashes", may_be_empty: bool = False) -> tuple[dict[str, str], int]:
    """The hashes as lower-case hex by type, in wire order, and how much of them is unknown.

    A type of the future (`sha512`) is kept and counted as unknown, as dxltieclient keeps it: to refuse it would refuse
    every event after a server upgrade. A known type in another spelling (`SHA-256`) is refused: consumers would miss
    it. A further member of an entry has no place in the result; it is counted. Raises `InvalidEventError`, which names
    `place`.
    """
    if not may_be_empty and not wire and (wire is None or type(wire) is list):
        raise InvalidEventError(Reason.NO_HASHES, f"{place}: at least one hash is needed")
    if type(wire) is not list:
        raise InvalidEventError(Reason.BAD_HASH, f"{place}: a list is expected")
    digests: dict[str, str] = {}
    unknown = 0
    for entry in wire:
        if type(entry) is not dict:
            raise InvalidEventError(Reason.BAD_HASH, f"{place}: every entry is an object with type and value")
        name = entry.get("type")
        if type(name) is not str:
            raise InvalidEventError(Reason.BAD_HASH, f"{place}: an entry has no type, or one that is no string")
        digest = _decode(place, name, entry.get("value"))
        length = DIGEST_BYTES.get(name)
        if length is None:
            _check_unknown(place, name, digest)
            unknown += 1
        elif len(digest) != length:
            raise InvalidEventError(Reason.BAD_HASH, f"{place}: a {name} has {length} bytes, not {len(digest)}")
        if name in digests:
            raise InvalidEventError(Reason.BAD_HASH, f"{place}: {name} occurs twice")
        digests[name] = digest.hex()
        unknown += len(entry) - 2
    return digests, unknown


def hex_sha1(wire: Any, *, place: str) -> str:
    """A SHA-1 that stands alone, as lower-case hex. Raises `InvalidEventError`, which names `place`."""
    digest = _decode(place, "the SHA-1", wire)
    if len(digest) != DIGEST_BYTES["sha1"]:
        raise InvalidEventError(Reason.BAD_HASH, f"{place}: a SHA-1 has 20 bytes, not {len(digest)}")
    return digest.hex()


def _decode(place: str, name: str, value: Any) -> bytes:
    if type(value) is not str:
        raise InvalidEventError(Reason.BAD_HASH, f"{place}: {name} has no value, or one that is no string")
    try:
        digest = a2b_base64(value)
    except ValueError:
        raise InvalidEventError(Reason.BAD_HASH, f"{place}: {name} is not base64") from None
    # The decoder skips junk and ignores stray bits; only the one canonical text of a digest encodes back to itself.
    if b2a_base64(digest, newline=False) != value.encode():
        raise InvalidEventError(Reason.BAD_HASH, f"{place}: {name} is not strict base64")
    return digest


def _check_unknown(place: str, name: str, digest: bytes) -> None:
    plain = "".join(filter(str.isalnum, name)).lower()
    readable = name.isascii() and name.isprintable() and len(name) <= _MAX_TYPE_LENGTH
    if not plain or plain in DIGEST_BYTES or not readable:
        raise InvalidEventError(Reason.BAD_HASH, f"{place}: a type is none of {', '.join(DIGEST_BYTES)}")
    if not digest:
        raise InvalidEventError(Reason.BAD_HASH, f"{place}: {name} is empty")


Integer = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]

Sha1 = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]

EVENT_CONFIG = ConfigDict(strict=True, extra="allow", frozen=True, field_title_generator=lambda name, _: name)
"""How every event model validates: nothing is coerced, unknown fields are kept."""

_DIGITS = re.compile(r"-?[0-9]{1,19}")


class OptionalHashes(BaseModel):
    """The hashes of a file or a certificate, in lower-case hex. Any of them may be missing."""

    model_config = EVENT_CONFIG

    # The defaults only say "may be missing": a record has what was set.
    md5: str = Field(default="", pattern="^[0-9a-f]{32}$")
    sha1: str = Field(default="", pattern="^[0-9a-f]{40}$")
    sha256: str = Field(default="", pattern="^[0-9a-f]{64}$")


class Hashes(OptionalHashes):
    """The hashes of a file, in lower-case hex. Any of them may be missing, one is always there."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})


def read_digit_strings(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    """Replaces, in place, each named field that is a string of digits by its integer; leaves everything else alone."""
    for name in names:
        value = fields.get(name)
        if type(value) is str and _DIGITS.fullmatch(value):
            fields[name] = int(value)
