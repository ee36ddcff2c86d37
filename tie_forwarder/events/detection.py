"""The file detection: an endpoint found a file that it holds malicious, and did something about it."""

# ruff: noqa: N815 - the names of the fields are those of TIE

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, TypeAdapter

from tie_forwarder.events.event import Kind
from tie_forwarder.events.fields import EVENT_CONFIG, Hashes, Integer, hex_digests, read_digit_strings
from tie_forwarder.events.message import TOPICS

_INTEGERS = ("detectionTime", "localReputation", "remediationAction")


class Detection(BaseModel):
    """A TIE file detection. Only the hashes are sure to be there; fields that are not described here are kept."""

    model_config = EVENT_CONFIG

    agentGuid: str | None = Field(
        default=None, description="The system of the detection: a UUID in braces, as a rule; any text is allowed."
    )
    detectionTime: Integer | None = Field(
        default=None, description="Time of the detection in seconds since the epoch, by the clock of the endpoint."
    )
    hashes: Hashes
    localReputation: Integer | None = Field(
        default=None, description="The TIE trust level that the endpoint computed: 0, 1, 15, 30, 50, 70, 85, 99 or 100."
    )
    name: str | None = Field(default=None, description="The name of the file.")
    remediationAction: Integer | None = Field(
        default=None, description="The action that followed; its code table is not public."
    )


def _from_wire(fields: dict[str, Any]) -> int:
    fields["hashes"], unknown = hex_digests(fields.get("hashes"))
    read_digit_strings(fields, _INTEGERS)
    return unknown


DETECTION = Kind(
    name="detection",
    topic=TOPICS["detection"],
    ce_type="com.mcafee.tie.file.detection.v1",
    agent_field="agentGuid",
    public_key_field=None,
    time_field="detectionTime",
    adapter=TypeAdapter(Detection),
    from_wire=_from_wire,
)
