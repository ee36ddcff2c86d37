"""The first instance of a file: an endpoint asked for the reputation of a file that was not seen here before."""

# ruff: noqa: N815 - the names of the fields are those of TIE

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, TypeAdapter

from tie_forwarder.events.event import Kind
from tie_forwarder.events.fields import EVENT_CONFIG, Hashes, hex_digests
from tie_forwarder.events.message import TOPICS


class FirstInstance(BaseModel):
    """A TIE file first instance. Only the hashes are sure to be there; fields that are not described here are kept."""

    model_config = EVENT_CONFIG

    agentGuid: str | None = Field(
        default=None, description="The system that has the file: a UUID in braces, as a rule; any text is allowed."
    )
    hashes: Hashes
    name: str | None = Field(default=None, description="The name of the file.")


def _from_wire(fields: dict[str, Any]) -> int:
    fields["hashes"], unknown = hex_digests(fields.get("hashes"))
    return unknown


FIRST_INSTANCE = Kind(
    name="first_instance",
    topic=TOPICS["first_instance"],
    ce_type="com.mcafee.tie.file.first-instance.v1",
    agent_field="agentGuid",
    public_key_field=None,
    time_field=None,
    adapter=TypeAdapter(FirstInstance),
    from_wire=_from_wire,
)
