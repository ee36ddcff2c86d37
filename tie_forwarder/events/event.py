"""A decoded event, and what a kind of event is. Data only: the kinds have a module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of TIE event. There is one instance of each, so kinds compare by identity."""

    name: str
    """Its name in the configuration, in metrics and as a destination of records."""
    topic: str
    """The DXL topic that carries it."""
    ce_type: str
    """The CloudEvents type of its records."""
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
    strings of digits are integers here."""
    model: BaseModel
    """The same, validated: the known fields in the order of the record, unknown fields as extra."""
    unknown_fields: int
    """How many fields are not in the model, and are kept (a further member of a hash entry is only counted)."""

    @property
    def time(self) -> int | None:
        """When it occurred, in seconds since the epoch by the endpoint's clock; of any size."""
        name = self.kind.time_field
        return None if name is None else self.fields.get(name)
