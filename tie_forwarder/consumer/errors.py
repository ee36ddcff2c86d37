"""Why a record holds no event that `parse` could give: a class for each sort, under one that catches all.

Each names the record's place and says why in one sentence. None of them quotes the record's value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tie_forwarder.consumer.dead_letter import DeadLetter, ReplayMarker


class NoEventError(Exception):
    """The record holds no event that `parse` could give."""

    def __init__(self, place: str, why: str) -> None:
        self.place = place
        """Topic, partition and offset, as far as they are known: `tie.file.detections[2]@4711`."""
        self.why = why
        super().__init__(f"{place}: {why}")


class ForeignRecordError(NoEventError):
    """No forwarder wrote it, or one that is newer than this package."""


class InvalidRecordError(NoEventError):
    """It has the headers of an event, and its headers or its value are not what they say."""


class OtherFormatError(NoEventError):
    """Its value is a document of another standard, for which there is no model; `parse_document` gives it."""

    def __init__(self, place: str, format_name: str) -> None:
        self.format = format_name
        super().__init__(place, f"its value is of the format {format_name}: read it with parse_document")


class DeadLetterError(NoEventError):
    """It is a dead letter: what the fabric carried was no valid event, or Kafka refused its record."""

    def __init__(self, place: str, dead_letter: DeadLetter) -> None:
        self.dead_letter = dead_letter
        super().__init__(place, f"it is a dead letter ({dead_letter.reason}: {dead_letter.detail})")


class ReplayMarkerError(NoEventError):
    """It stands among the dead letters and says of one that its event was replayed; the event stands in its topic."""

    def __init__(self, place: str, marker: ReplayMarker) -> None:
        self.marker = marker
        super().__init__(place, f"it marks a dead letter as replayed: the event stands in {marker.replayed_to}")
