"""The types of fields that the event models share, and the leniency of TIE producers: integers that come as strings."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

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
