"""The kinds of TIE events that the forwarder knows, by name and by DXL topic."""

from __future__ import annotations

from tie_forwarder.events.certificate_reputation_change import CERTIFICATE_REPUTATION_CHANGE
from tie_forwarder.events.detection import DETECTION
from tie_forwarder.events.event import Kind
from tie_forwarder.events.file_reputation_change import FILE_REPUTATION_CHANGE
from tie_forwarder.events.first_instance import FIRST_INSTANCE

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (DETECTION, FIRST_INSTANCE, FILE_REPUTATION_CHANGE, CERTIFICATE_REPUTATION_CHANGE)
}

BY_TOPIC: dict[str, Kind] = {kind.topic: kind for kind in KINDS.values()}
