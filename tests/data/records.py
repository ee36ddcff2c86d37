"""What the forwarder makes of a message, for tests that read records."""

from __future__ import annotations

from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.message import Message
from tie_forwarder.intake import Accepted, Intake
from tie_forwarder.records.record import Record


def record_of(message: Message) -> Record:
    """Its record, or its dead letter, with the defaults of the configuration; all kinds are enabled."""
    accepted = Intake(fabric="main", key_by="agent_guid", kinds=tuple(KINDS)).accept(message)
    assert isinstance(accepted, Accepted)
    return accepted.record
