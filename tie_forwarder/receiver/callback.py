"""The TIE callback that takes the raw message: what dxltieclient would swallow or bend is kept as it came."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dxltieclient.callbacks import DetectionCallback

from tie_forwarder.events.message import Message


class RawDetectionCallback(DetectionCallback):  # type: ignore[misc]  # dxltieclient carries no types
    """Stands where the sample's callback stands, and hands every message on before anything is decoded.

    `on_event` runs on dxlclient's only callback thread: it must neither block nor raise, since a callback that blocks
    stops the network thread, and an exception is swallowed.
    """

    def __init__(self, take: Callable[[Message], None]) -> None:
        super().__init__()
        self._take = take

    def on_event(self, event: Any) -> None:
        """Takes the message as it came."""
        self._take(raw_message(event))


def raw_message(event: Any) -> Message:
    """The parts of a DXL event as they are; a payload that is not bytes (MessagePack allows any type) as text."""
    payload = event.payload
    return Message(
        event.message_id or "",
        event.destination_topic,
        event.source_client_id or "",
        event.source_broker_id or "",
        payload if isinstance(payload, bytes) else _as_text(payload).encode("utf-8", "replace"),
        time.time_ns() // 1_000_000,
    )


def unreadable_message(topic: str, envelope: bytes) -> Message:
    """A message whose envelope dxlclient cannot read: its bytes are the payload, and intake says what they are.

    As a rule they end as a dead letter. The plain JSON of an event, published without an envelope, is taken for it.
    """
    return Message("", topic, "", "", envelope, time.time_ns() // 1_000_000)


def _as_text(payload: Any) -> str:
    if isinstance(payload, str):
        return payload
    try:
        return repr(payload)
    except RecursionError:
        return f"a {type(payload).__name__} that is nested too deep to be shown"
