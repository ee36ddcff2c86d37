"""The TIE callbacks that take the raw message: what dxltieclient would swallow or bend is kept as it came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from dxltieclient import TieClient
from dxltieclient.callbacks import DetectionCallback, FirstInstanceCallback, ReputationChangeCallback

from tie_forwarder.events.message import Message


class _RawCallback:
    """Stands where a sample's callback stands, and hands every message on before anything is decoded.

    `on_event` runs on dxlclient's network thread: it must neither block, which would stop that thread, nor raise, since
    an exception is swallowed.
    """

    def __init__(self, take: Callable[[Message], None]) -> None:
        super().__init__()
        self._take = take

    def on_event(self, event: Any) -> None:
        """Takes the message as it came."""
        self._take(raw_message(event))


class RawDetectionCallback(_RawCallback, DetectionCallback):  # type: ignore[misc]  # dxltieclient carries no types
    """For file detections."""


class RawFirstInstanceCallback(_RawCallback, FirstInstanceCallback):  # type: ignore[misc]  # as above
    """For first instances of files."""


class RawReputationChangeCallback(_RawCallback, ReputationChangeCallback):  # type: ignore[misc]  # as above
    """For the reputation changes of files or of certificates."""


def add_callbacks(client: Any, kinds: Iterable[str], take: Callable[[Message], None]) -> None:
    """Subscribes a DXL client to the events of these kinds, as a user of dxltieclient would; `take` gets each.

    Once the client is connected, this blocks until the broker has answered.
    """
    tie = TieClient(client)
    subscriptions: dict[str, Callable[[], None]] = {
        "detection": lambda: tie.add_file_detection_callback(RawDetectionCallback(take)),
        "first_instance": lambda: tie.add_file_first_instance_callback(RawFirstInstanceCallback(take)),
        "file_reputation_change": lambda: tie.add_file_reputation_change_callback(RawReputationChangeCallback(take)),
        "certificate_reputation_change": lambda: tie.add_certificate_reputation_change_callback(
            RawReputationChangeCallback(take)
        ),
    }
    for kind in kinds:
        subscriptions[kind]()


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
