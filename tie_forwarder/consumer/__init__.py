"""For programs that read the records: `parse` turns a record of any Kafka client into a typed event and its envelope.

    from tie_forwarder.consumer import Detection, NoEventError, parse

    event, envelope = parse(record)
    if isinstance(event, Detection):
        print(envelope.event_id, event.name, event.hashes.sha256)

Takes the records of kafka-python, aiokafka and confluent-kafka as they come, without deserialisers. What is no event
raises a `NoEventError`, each sort a class of its own. Needs only pydantic, does no I/O, and is safe on any thread.
"""

from tie_forwarder.consumer.envelope import DeadLetter, Envelope, ReplayMarker
from tie_forwarder.consumer.parsing import Parsed, ParsedDocument, TieEvent, parse, parse_dead_letter, parse_document
from tie_forwarder.consumer.record import (
    DeadLetterError,
    ForeignRecordError,
    InvalidRecordError,
    NoEventError,
    OtherFormatError,
    ReplayMarkerError,
)
from tie_forwarder.events.detection import Detection
from tie_forwarder.events.first_instance import FirstInstance
from tie_forwarder.events.reputation_change import CertificateReputationChange, FileReputationChange

__all__ = [
    "CertificateReputationChange",
    "DeadLetter",
    "DeadLetterError",
    "Detection",
    "Envelope",
    "FileReputationChange",
    "FirstInstance",
    "ForeignRecordError",
    "InvalidRecordError",
    "NoEventError",
    "OtherFormatError",
    "Parsed",
    "ParsedDocument",
    "ReplayMarker",
    "ReplayMarkerError",
    "TieEvent",
    "parse",
    "parse_dead_letter",
    "parse_document",
]
