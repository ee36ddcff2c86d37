"""The reputation changes of files and of certificates: their kinds, models and wire form.

dxltieclient transforms both with one callback, so both accept whatever may occur in either.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, TypeAdapter

from tie_forwarder.events.event import Kind
from tie_forwarder.events.fields import (
    EVENT_CONFIG,
    Hashes,
    Integer,
    OptionalHashes,
    Sha1,
    hex_digests,
    hex_sha1,
    read_digit_strings,
)
from tie_forwarder.events.message import TOPICS
from tie_forwarder.events.reasons import InvalidEventError, Reason
from tie_forwarder.events.reputations import Reputations, by_provider

# ruff: noqa: N815 - the names of the fields are those of TIE


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


# ruff: noqa: N815 - the names of the fields are those of TIE


class FileReputationChange(BaseModel):
    """A TIE file reputation change. Only the hashes are sure to be there; fields not described here are kept."""

    model_config = EVENT_CONFIG

    hashes: Hashes
    newReputations: Reputations | None = Field(
        default=None, description="All reputations of the file after the change, by the id of their provider."
    )
    oldReputations: Reputations | None = Field(
        default=None, description="All reputations of the file before the change, by the id of their provider."
    )
    relationships: Relationships | None = Field(
        default=None, description="The certificate that signs the file, where there is one."
    )
    updateTime: Integer | None = Field(
        default=None, description="Time of the change in seconds since the epoch, by the clock of the TIE server."
    )


def _from_wire(fields: dict[str, Any]) -> int:
    fields["hashes"], unknown = hex_digests(fields.get("hashes"))
    return unknown + read_change(fields)


FILE_REPUTATION_CHANGE = Kind(
    name="file_reputation_change",
    topic=TOPICS["file_reputation_change"],
    ce_type="com.mcafee.tie.file.reputation-change.v1",
    agent_field=None,
    public_key_field=None,
    time_field="updateTime",
    adapter=TypeAdapter(FileReputationChange),
    from_wire=_from_wire,
)


# ruff: noqa: N815 - the names of the fields are those of TIE


class CertificateReputationChange(BaseModel):
    """A TIE certificate reputation change. A hash or publicKeySha1 is there; fields not described here are kept."""

    model_config = EVENT_CONFIG

    hashes: OptionalHashes | None = Field(
        default=None, description="The hashes of the certificate, as a rule its SHA-1 alone."
    )
    newReputations: Reputations | None = Field(
        default=None, description="All reputations of the certificate after the change, by the id of their provider."
    )
    oldReputations: Reputations | None = Field(
        default=None, description="All reputations of the certificate before the change, by the id of their provider."
    )
    publicKeySha1: Sha1 | None = Field(default=None, description="The SHA-1 of the certificate's public key, in hex.")
    updateTime: Integer | None = Field(
        default=None, description="Time of the change in seconds since the epoch, by the clock of the TIE server."
    )


def _certificate_reputation_change_from_wire(fields: dict[str, Any]) -> int:
    unknown = 0
    named_by_its_key = "publicKeySha1" in fields
    if "hashes" in fields or not named_by_its_key:
        fields["hashes"], unknown = hex_digests(fields.get("hashes"), may_be_empty=named_by_its_key)
    return unknown + read_change(fields)


CERTIFICATE_REPUTATION_CHANGE = Kind(
    name="certificate_reputation_change",
    topic=TOPICS["certificate_reputation_change"],
    ce_type="com.mcafee.tie.certificate.reputation-change.v1",
    agent_field=None,
    public_key_field="publicKeySha1",
    time_field="updateTime",
    adapter=TypeAdapter(CertificateReputationChange),
    from_wire=_certificate_reputation_change_from_wire,
)
