"""The dead-letter topic: what each record is, which ones to select, and reading all up to a fixed end.

Headers may come from anyone with the right to write, so nothing in them is trusted. Markers come after their letters,
so the topic is read twice: first the markers, which are small, then the letters one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from tie_forwarder.events.message import Message
from tie_forwarder.records.dead_letter import REPLAYED_AT, REPLAYED_TIME, REPLAYED_TO

if TYPE_CHECKING:
    from tie_forwarder.kafka.queries import OutputRecord


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Letter(NamedTuple):
    """A dead letter."""

    event_id: str
    reason: str
    """The code; of a later version, or of a forger, it may be one that is not known here."""
    detail: str
    dxl_topic: str
    dxl_client: str
    received_at_ms: int
    payload: bytes
    refused: bool
    """Whether Kafka refused the record: then the payload is what the record held, perhaps cut, and not the message."""
    record: OutputRecord
    """The record that it was read from."""

    def message(self) -> Message:
        """The message of the fabric, as it came then; the broker that carried it is not known any more."""
        return Message(self.event_id, self.dxl_topic, self.dxl_client, "", self.payload, self.received_at_ms)


class Marker(NamedTuple):
    """Says that the event of a dead letter was replayed."""

    event_id: str
    replayed_at: str
    replayed_to: str


def packed(event_id: str) -> bytes:
    """The id in 16 bytes, for whoever keeps many."""
    return bytes.fromhex(event_id.replace("-", ""))


def read_record(record: OutputRecord) -> Letter | Marker | None:
    """What a record of the dead-letter topic is; None for what no forwarder has written."""
    event_id = record.header("ce_id")
    if not _UUID.fullmatch(event_id) or not record.header("forwarder_version"):
        return None
    if record.header(REPLAYED_AT):
        return Marker(event_id, record.header(REPLAYED_AT), record.header(REPLAYED_TO))
    if not record.header("reason"):
        return None
    return Letter(
        event_id=event_id,
        reason=record.header("reason"),
        detail=record.header("detail"),
        dxl_topic=record.header("dxl_topic"),
        dxl_client=record.header("dxl_client"),
        received_at_ms=_milliseconds(record.header("received_at"), record.timestamp_ms),
        payload=record.value or b"",
        refused=bool(record.header("original_size")),
        record=record,
    )


def replayed_event(record: OutputRecord) -> str | None:
    """The id of the event that a record of another topic holds, where a replay has written it."""
    event_id = record.header("ce_id")
    return event_id if record.header(REPLAYED_TIME) and _UUID.fullmatch(event_id) else None


def _milliseconds(text: str, otherwise: int) -> int:
    """The time of receipt; the record's timestamp, which is the same as a rule, where the header is none."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


class Selection(NamedTuple):
    """All of them, where nothing is said."""

    since_ms: int | None = None
    """The earliest time of receipt, in milliseconds since the epoch."""
    reasons: Set[str] = frozenset()
    """The codes; empty for any."""

    def takes(self, letter: Letter) -> bool:
        """Whether the letter is one of them."""
        if self.since_ms is not None and letter.received_at_ms < self.since_ms:
            return False
        return not self.reasons or letter.reason in self.reasons


Ends: TypeAlias = "Mapping[tuple[str, int], int]"
"""Offsets by topic and partition."""


class Reader(Protocol):
    """Who reads records from Kafka."""

    def read(self, ends: Ends, *, begins: Ends | None = None) -> Iterator[list[OutputRecord]]:
        """What stands before these ends, and nothing at times; raises ForwarderError."""

    @property
    def unread(self) -> int:
        """How many offsets are left of the reading that is under way."""


class Steps(Protocol):
    """Who is shown how far it is."""

    def begin(self, what: str, total: int) -> None:
        """A new step, of so many pieces."""

    def left(self, count: int) -> None:
        """So many pieces of the step are left."""


class Interrupted(Exception):  # noqa: N818 - a wish, not an error
    """The user does not want to wait for the end."""


class DeadLetterTopic:
    """The letters and markers up to the end. One thread; each method may block and raises ForwarderError."""

    def __init__(
        self,
        *,
        reader: Reader,
        ends: Ends,
        interrupted: Callable[[], bool],
        steps: Steps,
    ) -> None:
        """`ends` are those of the dead-letter topic alone."""
        self._reader = reader
        self._ends = ends
        self._interrupted = interrupted
        self._steps = steps

    def markers(self) -> dict[bytes, Marker]:
        """Every marker by its packed id. Raises Interrupted."""
        return {packed(found.event_id): found for found in self._all("reading markers") if isinstance(found, Marker)}

    def letters(self) -> Iterator[Letter]:
        """Every letter, in the order of its partition. Raises Interrupted."""
        return (found for found in self._all("reading dead letters") if isinstance(found, Letter))

    def _all(self, what: str) -> Iterator[Letter | Marker | None]:
        begun = False
        for records in self._reader.read(self._ends):
            if not begun:
                self._steps.begin(what, self._reader.unread + len(records))
                begun = True
            yield from map(read_record, records)
            self._steps.left(self._reader.unread)
            if self._interrupted():
                raise Interrupted
