"""Numbered detections, as a TIE server publishes them.

Owns: the way from a number to a payload and to a message id, and from the id back to the number.
"""

from __future__ import annotations

from binascii import b2a_base64
from hashlib import sha512

DETECTION_TOPIC = "/mcafee/event/tie/file/detection"

_ID_PREFIX = "00000000-0000-4000-8000-"
_DETECTED_AT = 1_700_000_000


def detection(number: int, *, agent: int, detected_at: int = _DETECTED_AT) -> bytes:
    """The payload of detection `number`, seen by endpoint `agent` at `detected_at` (epoch seconds).

    Every number has a file name and hashes of its own.
    """
    digest = sha512(number.to_bytes(8, "big")).digest()
    md5, sha1, sha256 = (
        b2a_base64(part, newline=False).decode() for part in (digest[:16], digest[16:36], digest[32:64])
    )
    return (
        f'{{"agentGuid": "{agent_guid(agent)}", "detectionTime": {detected_at}, "hashes": ['
        f'{{"type": "md5", "value": "{md5}"}}, {{"type": "sha1", "value": "{sha1}"}}, '
        f'{{"type": "sha256", "value": "{sha256}"}}], "localReputation": 1, "name": "SAMPLE-{number}.EXE", '
        '"remediationAction": 5}'
    ).encode()


def agent_guid(agent: int) -> str:
    """The GUID of an endpoint, braced and in lower case."""
    return f"{{00000000-0000-4000-9000-{agent:012x}}}"


def message_id(number: int) -> str:
    """The id of the DXL message that carries detection `number`: a braced UUID in lower case."""
    return f"{{{_ID_PREFIX}{number:012x}}}"


def number_of(event_id: str) -> int | None:
    """The number behind a message id, with or without braces; None for an id that `message_id` does not make."""
    bare = event_id.strip("{}")
    if not bare.startswith(_ID_PREFIX):
        return None
    return int(bare[len(_ID_PREFIX) :], 16)
