"""What the reputation changes of files and of certificates have in common: dxltieclient has one callback for both.

So a field that belongs to one of them only is read in the other as well, and is unknown there.
"""

# ruff: noqa: N815 - the names of the fields are those of TIE

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tie_forwarder.events.digests import hex_digests, hex_sha1
from tie_forwarder.events.fields import EVENT_CONFIG, OptionalHashes, Sha1, read_digit_strings
from tie_forwarder.events.reasons import InvalidEventError, Reason
from tie_forwarder.events.reputations import by_provider


class Certificate(BaseModel):
    """The certificate that signs a file."""

    model_config = EVENT_CONFIG

    hashes: OptionalHashes | None = None
    publicKeySha1: Sha1 | None = None


class Relationships(BaseModel):
    """What a file is related to."""

    model_config = EVENT_CONFIG

    certificate: Certificate | None = None


_RELATED = Relationships.model_fields.keys()
_CERTIFICATE_MEMBERS = Certificate.model_fields.keys()


def read_change(fields: dict[str, Any]) -> int:
    """Turns everything but the hashes of the event itself, in place; how much of what is nested is unknown."""
    unknown = 0
    for name in ("newReputations", "oldReputations"):
        if name in fields:
            fields[name], more = by_provider(fields[name], place=name)
            unknown += more
    if "relationships" in fields:
        unknown += _read_relationships(fields["relationships"])
    if "publicKeySha1" in fields:
        fields["publicKeySha1"] = hex_sha1(fields["publicKeySha1"], place="publicKeySha1")
    read_digit_strings(fields, ("updateTime",))
    return unknown


def _read_relationships(relationships: Any) -> int:
    place = "relationships"
    if type(relationships) is not dict:
        raise InvalidEventError(Reason.BAD_FIELD, f"{place}: an object is expected")
    unknown = len(relationships.keys() - _RELATED)
    if "certificate" not in relationships:
        return unknown
    place, certificate = "relationships.certificate", relationships["certificate"]
    if type(certificate) is not dict:
        raise InvalidEventError(Reason.BAD_FIELD, f"{place}: an object is expected")
    if "hashes" in certificate:
        certificate["hashes"], more = hex_digests(certificate["hashes"], place=f"{place}.hashes", may_be_empty=True)
        unknown += more
    if "publicKeySha1" in certificate:
        certificate["publicKeySha1"] = hex_sha1(certificate["publicKeySha1"], place=f"{place}.publicKeySha1")
    return unknown + len(certificate.keys() - _CERTIFICATE_MEMBERS)
