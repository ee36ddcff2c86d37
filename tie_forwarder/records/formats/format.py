"""What a format is, and what it is given beside the event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tie_forwarder.events.event import Event, Kind
from tie_forwarder.events.message import Message

Schema = dict[str, Any]


class Origin(NamedTuple):
    """Whence an event comes, as it is said in every format; what the headers have is text only for whom it serves."""

    message: Message
    event_id: str
    ce_source: bytes
    ce_receivedtime: bytes | None
    ce_time: bytes | None
    subject: str | None
    """The hash of the file or certificate that the event is about."""
    client: str
    """Who published it on the fabric, fit for a header; empty where the broker does not say so."""
    broker: str
    """The broker that took it there, likewise."""

    @property
    def source(self) -> str:
        """The CloudEvents source: the fabric as a path."""
        return self.ce_source.decode()

    @property
    def received(self) -> str | None:
        """Time of receipt in RFC 3339 with milliseconds."""
        return self.ce_receivedtime.decode() if self.ce_receivedtime else None

    @property
    def occurred(self) -> str | None:
        """When the event occurred, in RFC 3339; None where it does not say so, or says what is no time of ours."""
        return self.ce_time.decode() if self.ce_time else None


@dataclass(frozen=True, eq=False)
class Format:
    """One format. There is one instance of each."""

    name: str
    """Its name in the configuration."""
    content_type: bytes
    """The header `content-type` of its records."""
    render: Callable[[Event, Origin], bytes]
    """The value of the record. Never raises for a valid event."""
    schema: Callable[[Kind], Schema] | None
    """The JSON Schema of what it renders; None where it renders no JSON of its own."""
