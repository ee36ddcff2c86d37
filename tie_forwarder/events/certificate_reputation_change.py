"""The reputation change of a certificate: what one of the providers holds of it is no longer what it was."""

# ruff: noqa: N815 - the names of the fields are those of TIE

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, TypeAdapter

from tie_forwarder.events.digests import hex_digests
from tie_forwarder.events.event import Kind
from tie_forwarder.events.fields import EVENT_CONFIG, Integer, OptionalHashes, Sha1
from tie_forwarder.events.reputation_change import read_change
from tie_forwarder.events.reputations import Reputations
from tie_forwarder.events.topics import TOPICS


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


def _from_wire(fields: dict[str, Any]) -> int:
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
    from_wire=_from_wire,
)
