"""What is known of an event besides the event: the CloudEvents attributes, whence it came, where its record stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Envelope:
    """The envelope of one event. What is not known is None; every time has a time zone."""

    event_id: str
    """The id of the DXL message, a UUID in lower case: the same on every forwarder, so it tells repetitions apart."""
    kind: str
    """`detection`, `first_instance`, `file_reputation_change` or `certificate_reputation_change`."""
    type: str
    """The CloudEvents type: `com.mcafee.tie.file.detection.v1`."""
    source: str
    """The fabric: `/opendxl/<name>`."""
    subject: str | None
    """The strongest hash of the file or certificate, in hex."""
    occurred_at: datetime | None
    """When it occurred, by the clock of the endpoint or the TIE server, which may be wrong."""
    received_at: datetime | None
    """When the forwarder received it."""
    replayed_at: datetime | None
    """When it was replayed, where it had been a dead letter first."""
    dxl_topic: str | None
    dxl_client: str | None
    """Who published it on the fabric, by its certificate. It can be forged: information, no authentication."""
    dxl_broker: str | None
    """Where on the fabric it was published. It can be forged, too."""
    forwarder: str | None
    """The member of the group that published it to Kafka; None for a replayed event."""
    format: str
    """The format of the record's value, one of `kafka.format`."""
    schema_id: int | None
    """The id of the value's schema, where the forwarder uses a schema registry."""
    topic: str
    """The Kafka topic, as are partition, offset, timestamp and key Kafka's."""
    partition: int | None
    offset: int | None
    timestamp_ms: int | None
    """In milliseconds since the epoch: the time of receipt, or of the replay."""
    key: str | None


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter. What is not known is None."""

    event_id: str | None
    """The id of the DXL message."""
    reason: str
    """The code of the reason; the codes are a closed set, and are never renamed."""
    detail: str
    """The place in the payload and what is expected there."""
    payload: bytes
    """What the fabric carried, untouched; the value of the record that Kafka refused, where it is one."""
    dxl_topic: str | None
    dxl_client: str | None
    received_at: datetime | None
    forwarder: str | None
    """The member of the group that published it to Kafka."""
    forwarder_version: str | None
    original_size: int | None
    """The size of the whole, in bytes, where Kafka refused it and the payload may be cut."""
    sha256: str | None
    """The SHA-256 of the whole, in hex, beside the size."""


@dataclass(frozen=True)
class ReplayMarker:
    """Says of a dead letter that its event was replayed."""

    event_id: str | None
    """The `event_id` of the dead letter and of the event."""
    replayed_at: datetime | None
    replayed_to: str
    """The topic where the event stands now."""
