"""A raw DXL message, the topics, and the id of an event, which is the same on every forwarder.

Loads nothing but the standard library: the receiver imports it too.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import NamedTuple

TOPICS = {
    "detection": "/mcafee/event/tie/file/detection",
    "first_instance": "/mcafee/event/tie/file/firstinstance",
    "file_reputation_change": "/mcafee/event/tie/file/repchange/broadcast",
    "certificate_reputation_change": "/mcafee/event/tie/cert/repchange/broadcast",
}

GROUP_TOPIC_PREFIX = "/tie-forwarder/group/"
"""The members of a group announce themselves on this prefix and the group's name."""


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


NAMESPACE = uuid.UUID("5c9818b6-e067-5fbd-a14b-c9d49f12087f")
"""The namespace of the UUIDv5 of messages that have no usable id of their own. It never changes."""

_UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_NIL = str(uuid.UUID(int=0))


def event_id(message: Message) -> str:
    """A UUID in lower case without braces: the DXL message id, which the publisher of the event set.

    Where that is missing, malformed or nil (a publisher that sets nothing would make all its events one), it is the
    UUIDv5 of topic and payload in `NAMESPACE`: two such messages that are equal in both are one event. Never raises.
    """
    bare = message.message_id
    if bare[:1] == "{" and bare[-1:] == "}":
        bare = bare[1:-1]
    if _UUID.fullmatch(bare) and bare != _NIL:
        return bare.lower()
    name = message.topic.encode(errors="backslashreplace") + b"\0" + message.payload
    digest = hashlib.sha1(NAMESPACE.bytes + name, usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))
