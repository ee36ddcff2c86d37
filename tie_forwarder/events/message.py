"""The DXL message as the receiver took it: raw, before anything could be lost in decoding."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """One DXL event message. Strings come from the publisher and are as hostile as the payload.

    The source ids are stamped by a real DXL broker, are empty through a plain MQTT broker, and are forgeable: they are
    information, never authentication.
    """

    message_id: str
    topic: str
    source_client_id: str
    source_broker_id: str
    payload: bytes
    received_at_ms: int
    """Time of receipt in the receiver process, in milliseconds since the epoch."""
