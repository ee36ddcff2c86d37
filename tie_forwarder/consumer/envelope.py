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
