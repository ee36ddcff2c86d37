"""The reputation change of a file: what one of the providers holds of it is no longer what it was."""

# ruff: noqa: N815 - the names of the fields are those of TIE

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, TypeAdapter

from tie_forwarder.events.digests import hex_digests
from tie_forwarder.events.event import Kind
from tie_forwarder.events.fields import EVENT_CONFIG, Hashes, Integer
from tie_forwarder.events.reputation_change import Relationships, read_change
from tie_forwarder.events.reputations import Reputations
from tie_forwarder.events.topics import TOPICS


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
