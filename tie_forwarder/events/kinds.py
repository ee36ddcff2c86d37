"""The kinds of TIE events that the forwarder knows, by name."""

from __future__ import annotations

from tie_forwarder.events.detection import DETECTION
from tie_forwarder.events.event import Kind

KINDS: dict[str, Kind] = {kind.name: kind for kind in (DETECTION,)}
