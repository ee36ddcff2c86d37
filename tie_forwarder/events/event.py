"""A decoded event, and what a kind of event is. Data only: the kinds have a module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter

from tie_forwarder.events.fields import STRENGTH


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of TIE event. There is one instance of each, so kinds compare by identity."""

    name: str
    """Its name in the configuration, in metrics and as a destination of records."""
    topic: str
    """The DXL topic that carries it."""
    ce_type: str
    """The CloudEvents type of its records."""
    agent_field: str | None
    """The field with the endpoint that the event is about; None where it is about no endpoint."""
    public_key_field: str | None
    """The field with the hash of the public key of the certificate that the event is about; None where it is a file."""
    time_field: str | None
    """The field with the time of the occurrence, in seconds since the epoch."""
    adapter: TypeAdapter[Any]
    """Validates and serialises its model (`extra="allow"`, fields in the order of the record)."""
    from_wire: Callable[[dict[str, Any]], int]
    """Turns the fields of the wire into those of the model, in place and in their order, and returns how much of the
    nested ones is unknown. Raises `InvalidEventError`."""


class Event(NamedTuple):
    """A valid event."""

    kind: Kind
    fields: dict[str, Any]
    """What dxltieclient's callback for the kind hands to its user, in the same order of keys; integers that came as
    strings of digits are integers here. Reputations are by the integer of their provider, in JSON by its text."""
    model: BaseModel
    """The same, validated: the known fields in the order of the record, unknown fields as extra."""
    unknown_fields: int
    """How many fields are not in the model, and are kept (a further member of a hash entry is only counted)."""

    @property
    def time(self) -> int | None:
        """When it occurred, in seconds since the epoch by the clock of endpoint or server; of any size."""
        name = self.kind.time_field
        return None if name is None else self.fields.get(name)

    @property
    def agent(self) -> str | None:
        """The endpoint that it is about, as TIE writes it."""
        name = self.kind.agent_field
        return None if name is None else self.fields.get(name)

    @property
    def public_key_hash(self) -> str | None:
        """The hash of the public key of the certificate that the event is about, in hex."""
        name = self.kind.public_key_field
        return None if name is None else self.fields.get(name)

    @property
    def strongest_hash(self) -> str | None:
        """The strongest known hash of the file or certificate, in hex; None where there is only an unknown one."""
        hashes = self.fields.get("hashes") or {}
        for name in STRENGTH:
            if name in hashes:
                digest: str = hashes[name]
                return digest
        return None
