"""The reputations of a file or certificate: a list of them on the wire, an object by provider downstream.

For what is valid the result is that of dxltieclient. What it delivers wrongly (a provider twice, of which the last one
wins) or loses (a reputation without provider, null instead of a list) is refused here.
"""

# ruff: noqa: N815 - the names of the fields are those of TIE

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from tie_forwarder.events.fields import EVENT_CONFIG, Integer, OptionalHashes, hex_digests, read_digit_strings
from tie_forwarder.events.reasons import InvalidEventError, Reason


class OverriddenFile(BaseModel):
    """A file whose own Enterprise reputation overrides that of its certificate."""

    model_config = EVENT_CONFIG

    hashes: OptionalHashes | None = None


class Overridden(BaseModel):
    """The files whose own Enterprise reputations override that of their certificate."""

    model_config = EVENT_CONFIG

    files: list[OverriddenFile] | None = None
    truncated: bool | Integer | None = Field(
        default=None, description="1 or true when there are more files than the list has, else 0 or false."
    )


class Reputation(BaseModel):
    """What one provider holds of a file or certificate."""

    model_config = EVENT_CONFIG

    attributes: dict[str, Any] | None = Field(
        default=None, description="What the provider adds, by the number of the attribute; text, as a rule."
    )
    createDate: Integer | None = Field(
        default=None, description="When the reputation was created, in seconds since the epoch."
    )
    overridden: Overridden | None = Field(default=None, description="Files that are excepted; of certificates only.")
    providerId: Integer = Field(
        description="The provider. Of files: 1 GTI, 3 Enterprise, 5 ATD, 7 MWG, 15 external; "
        "of certificates: 2 GTI, 4 Enterprise."
    )
    trustLevel: Integer | None = Field(
        default=None, description="The TIE trust level: 0, 1, 15, 30, 50, 70, 85, 99 or 100."
    )


# JSON has the ids as text, and `by_provider` has seen to it that they are integers.
Reputations = dict[Annotated[int, Field(strict=False)], Reputation]
"""Reputations by the id of their provider."""

_INTEGERS = ("providerId", "trustLevel", "createDate")
_MEMBERS = Reputation.model_fields.keys()
_OVERRIDDEN_MEMBERS = Overridden.model_fields.keys()
_FILE_MEMBERS = OverriddenFile.model_fields.keys()
_LISTS = frozenset({"reputations", "props"})


def by_provider(wire: Any, *, place: str) -> tuple[dict[Any, Any], int]:
    """The reputations by provider, in wire order, and how much of them is unknown.

    What stands beside the list has no place in the result, `props` with the server's time excepted it is counted.
    An object without a list is no reputation at all and must be empty. Raises `InvalidEventError`, which names `place`.
    """
    if type(wire) is not dict:
        raise InvalidEventError(Reason.BAD_REPUTATIONS, f"{place}: an object is expected")
    if not wire:
        return wire, 0
    entries = wire.get("reputations")
    if type(entries) is not list:
        raise InvalidEventError(Reason.BAD_REPUTATIONS, f"{place}.reputations: a list is expected")
    reputations: dict[int, dict[str, Any]] = {}
    unknown = len(wire.keys() - _LISTS)
    for entry in entries:
        if type(entry) is not dict:
            raise InvalidEventError(Reason.BAD_REPUTATIONS, f"{place}: every reputation is an object")
        read_digit_strings(entry, _INTEGERS)
        provider = entry.get("providerId")
        if type(provider) is not int:
            raise InvalidEventError(Reason.BAD_REPUTATIONS, f"{place}: every reputation has an integer as providerId")
        if provider in reputations:
            raise InvalidEventError(Reason.BAD_REPUTATIONS, f"{place}: a provider occurs twice")
        if "overridden" in entry:
            unknown += _read_overridden(entry["overridden"], f"{place}.overridden")
        unknown += len(entry.keys() - _MEMBERS)
        reputations[provider] = entry
    return reputations, unknown


def _read_overridden(overridden: Any, place: str) -> int:
    """Turns the hashes of excepted files into hex, in place; how much is unknown."""
    if type(overridden) is not dict:
        raise InvalidEventError(Reason.BAD_REPUTATIONS, f"{place}: an object is expected")
    read_digit_strings(overridden, ("truncated",))
    unknown = len(overridden.keys() - _OVERRIDDEN_MEMBERS)
    if "files" not in overridden:
        return unknown
    if type(overridden["files"]) is not list:
        raise InvalidEventError(Reason.BAD_REPUTATIONS, f"{place}.files: a list is expected")
    for file in overridden["files"]:
        if type(file) is not dict:
            raise InvalidEventError(Reason.BAD_REPUTATIONS, f"{place}.files: every file is an object")
        if "hashes" in file:
            file["hashes"], more = hex_digests(file["hashes"], place=f"{place}.files.hashes", may_be_empty=True)
            unknown += more
        unknown += len(file.keys() - _FILE_MEMBERS)
    return unknown
