"""How large the largest record of each topic is: that of an event as large as DXL carries, as it is configured here.

Made by intake itself, with every header as long as it can be. The payload is one long text, which no format escapes or
repeats; a payload of nothing but numbers such as 1e15 would grow further.
"""

from __future__ import annotations

import json
from base64 import b64encode

from tie_forwarder.config import Config
from tie_forwarder.events.document import MAX_BYTES
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.message import Message
from tie_forwarder.intake import Accepted, Intake
from tie_forwarder.records.size import batch_bytes
from tie_forwarder.records.text import MAX_CHARACTERS

_ID = "{00000000-0000-4000-8000-000000000000}"
_LONGEST_TEXT = "\U0001f600" * MAX_CHARACTERS
_REGISTRY_PREFIX_BYTES = 5
_HASHES = (("md5", 16), ("sha1", 20), ("sha256", 32))


def largest_batches(config: Config) -> dict[str, int]:
    """By topic the size of a batch with the largest record alone, uncompressed."""
    intake = Intake(
        fabric=config.dxl.fabric,
        key_by=config.kafka.key,
        kinds=config.dxl.events,
        formats=config.kafka.format.by_kind(),
    )
    topics = config.kafka.topics.by_destination()
    messages = [_message(KINDS[kind].topic, _payload()) for kind in config.dxl.events]
    messages.append(_message(messages[0].topic, b"\xff" * MAX_BYTES))
    found: dict[str, int] = {}
    for message in messages:
        accepted = intake.accept(message)
        assert isinstance(accepted, Accepted)
        record = accepted.record
        size = len(record.value) + _REGISTRY_PREFIX_BYTES
        if accepted.reason is not None:
            size += MAX_CHARACTERS  # its `detail` may be that much longer
        headers = [*record.headers, ("ce_forwarder", config.group.member.encode())]
        topic = topics[record.destination]
        found[topic] = max(found.get(topic, 0), batch_bytes(record.key, size, headers))
    return found


def _message(topic: str, payload: bytes) -> Message:
    return Message(_ID, topic, _LONGEST_TEXT, _LONGEST_TEXT, payload, 1_700_000_000_000)


def _payload() -> bytes:
    fields = {
        "agentGuid": _ID,
        "detectionTime": 1_700_000_000,
        "hashes": [{"type": name, "value": b64encode(bytes(length)).decode()} for name, length in _HASHES],
        "localReputation": 1,
        "note": "",
    }
    fields["note"] = "x" * (MAX_BYTES - len(json.dumps(fields)))
    return json.dumps(fields).encode()
