"""The accounts of the flow: every event that comes, goes or is lost, in the ledger and the metrics.

Also the last dead letters, for `/status`: ten of them, and no more of a payload than is shown.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tie_forwarder.events.kinds import BY_TOPIC
from tie_forwarder.events.message import Message
from tie_forwarder.events.reasons import Reason
from tie_forwarder.group.window import Arrival
from tie_forwarder.intake import Accepted, Filtered
from tie_forwarder.printing import printable, text_of
from tie_forwarder.records.record import Record
from tie_forwarder.spool import Changes, Outcome, Settled
from tie_forwarder.status.metrics import UNKNOWN_KIND, Metrics


@dataclass
class Ledger:
    """Counts since the start of the process. Written by the flow's thread alone; `snapshot` may be read by any."""

    in_spool_at_start: int = 0
    received: int = 0
    published: int = 0
    settled: int = 0
    filtered: int = 0
    dropped: int = 0
    duplicate: int = 0

    def snapshot(self, in_spool: int) -> dict[str, int]:
        """All counts, and the imbalance, which is 0 unless events were lost or doubled unseen."""
        came = self.in_spool_at_start + self.received
        went = self.published + self.settled + self.filtered + self.dropped + self.duplicate
        return {
            "in_spool_at_start": self.in_spool_at_start,
            "received": self.received,
            "published": self.published,
            "settled": self.settled,
            "filtered": self.filtered,
            "dropped": self.dropped,
            "duplicate": self.duplicate,
            "in_spool": in_spool,
            "imbalance": came - went - in_spool,
        }


_KEPT = 10
_FIRST_BYTES = 120
_MEANINGS = {reason.value: reason.description for reason in Reason}


class _Letter(NamedTuple):
    kind: str
    event_id: str
    headers: tuple[tuple[str, bytes], ...]
    size: int
    first_bytes: bytes


class LastLetters:
    """Noted on one thread; `total` and `report` may be asked on another one."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._letters: tuple[_Letter, ...] = ()
        self.total = 0
        """How many there were since the start of the process."""
        self.noted_at: float | None = None
        """When the last one was made, by the monotonic clock."""
        self._reported: tuple[_Letter, ...] = ()
        self._report: list[dict[str, Any]] = []

    def note(self, record: Record, *, kind: str) -> None:
        """A dead letter has been made."""
        # Replaced as a whole, so that reading needs no lock.
        self._letters = (_letter(record, kind), *self._letters[: _KEPT - 1])
        self.total += 1
        self.noted_at = self._monotonic()

    def change(self, record: Record) -> None:
        """A dead letter that was noted before was refused and cut: what Kafka stores is this."""
        self._letters = tuple(
            _letter(record, letter.kind) if letter.event_id == record.event_id else letter for letter in self._letters
        )

    def report(self, *, with_payload: bool = True) -> list[dict[str, Any]]:
        """The newest first, as JSON values; everything in them is printable. Without payload, its bytes are null."""
        letters = self._letters
        if letters is not self._reported:
            self._report = [_described(letter) for letter in letters]
            self._reported = letters
        return self._report if with_payload else [{**letter, "first_bytes": None} for letter in self._report]


def _letter(record: Record, kind: str) -> _Letter:
    return _Letter(kind, record.event_id, record.headers, len(record.value), record.value[:_FIRST_BYTES])


def _described(letter: _Letter) -> dict[str, Any]:
    headers = {name: printable(text_of(value)) for name, value in letter.headers}
    reason = headers.get("reason", "")
    return {
        "received_at": headers.get("received_at"),
        "reason": reason,
        "meaning": _MEANINGS.get(reason, ""),
        "detail": headers.get("detail", ""),
        "kind": letter.kind,
        "dxl_topic": headers.get("dxl_topic", ""),
        "event_id": letter.event_id,
        "bytes": letter.size,
        "first_bytes": printable(text_of(letter.first_bytes)),
    }


_DETECTION = "detection"


class Accounts:
    """Counts. Belongs to the flow's thread; `snapshot`, `letters` and what is said of the last drop are for any."""

    def __init__(self, *, metrics: Metrics, topics: Mapping[str, str], now: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._topics = topics
        self._now = now
        self._ledger = Ledger()
        self._received_by_kind = {kind: metrics.received.labels(kind) for kind in metrics.kinds}
        self.snapshot = self._ledger.snapshot(0)
        """The ledger as of the last commit."""
        self.letters = LastLetters()
        """The last dead letters, and how many there were."""
        self.last_drop_at: float | None = None
        """When an event was last lost, by the monotonic clock."""
        self.last_drop_reason = ""

    def on_start(self, in_spool: int) -> None:
        """The spool has been opened."""
        self._ledger.in_spool_at_start = in_spool
        self.snapshot = self._ledger.snapshot(in_spool)

    def open_receiver(self, *, is_successor: Callable[[], bool] = lambda: False) -> ReceiverAccount:
        """The account of a receiver process that starts now. The only method that may be called on any thread."""
        return ReceiverAccount(metrics=self._metrics, lose=self._lose, is_successor=is_successor)

    def on_accepted(self, accepted: Sequence[Accepted]) -> None:
        """Intake has judged these messages."""
        for kind, count in Counter([one.kind for one in accepted]).items():
            self._received_by_kind[kind].inc(count)
        self._metrics.record_bytes.observe_all([len(one.record.value) for one in accepted])
        unknown_fields = sum([one.unknown_fields for one in accepted])
        if unknown_fields:
            self._metrics.unknown_fields.inc(unknown_fields)
        for one in accepted:
            if one.reason is not None:
                self._metrics.dead_lettered.labels(one.reason).inc()
                self.letters.note(one.record, kind=one.kind)

    def on_filtered(self, filtered: Filtered) -> None:
        """Intake has judged an event that is not forwarded."""
        self._received_by_kind[filtered.kind].inc()
        self._metrics.filtered.labels(filtered.by.name).inc()
        self._ledger.received += 1
        self._ledger.filtered += 1

    def on_known(self, arrival: Arrival, kind: str) -> None:
        """An event has arrived that Kafka has already."""
        self._received_by_kind[kind].inc()
        self._ledger.received += 1
        if arrival is Arrival.DUPLICATE:
            self._ledger.duplicate += 1
            self._metrics.duplicate.inc()
        else:
            self._ledger.settled += 1
            self._metrics.settled.inc()

    def on_batch_published(self, seconds: float) -> None:
        """Kafka has answered for a batch."""
        self._metrics.publish_duration.observe(seconds)

    def on_publish_error(self, error_class: str, code: str) -> None:
        """Kafka, or kafka-python, has failed."""
        self._metrics.publish_errors.labels(error_class, code).inc()

    def on_takeover(self, reason: str) -> None:
        """This member takes over."""
        self._metrics.group_takeovers.labels(reason).inc()

    def on_commit(self, changes: Changes, outcome: Outcome, seconds: float, in_spool: int) -> None:
        """A turn's changes are on the disk."""
        ledger = self._ledger
        self._metrics.spool_commit.observe(seconds)
        ledger.received += len(changes.incoming)
        ledger.duplicate += outcome.duplicates
        self._metrics.duplicate.inc(outcome.duplicates)
        for reason, count in outcome.dropped.items():
            self._drop(reason, count)
        self._on_published(outcome.published)
        ledger.settled += len(outcome.seen)
        self._metrics.settled.inc(len(outcome.seen))
        self.snapshot = ledger.snapshot(in_spool)
        self._metrics.ledger_imbalance.set(self.snapshot["imbalance"])

    def on_dead_lettered(self, letters: Sequence[Record], *, shortened: Sequence[Record]) -> None:
        """Events that Kafka refuses have become dead letters; `shortened` are letters that it refused in their turn."""
        for letter in letters:
            self._metrics.dead_lettered.labels(dict(letter.headers)["reason"].decode()).inc()
            self.letters.note(letter, kind=_kind_of(letter))
        for letter in shortened:
            self.letters.change(letter)

    def on_unreadable(self, count: int) -> None:
        """Rows of the spool could not be saved with the others."""
        if count:
            self._drop("corrupt", count)

    def on_idle(self, in_spool: int) -> None:
        """Brings the snapshot up to date where nothing was committed."""
        self.snapshot = self._ledger.snapshot(in_spool)

    def _on_published(self, published: Sequence[Settled]) -> None:
        self._ledger.published += len(published)
        now = self._now()
        for destination, count in Counter([settled.destination for settled in published]).items():
            self._metrics.published.labels(self._topics[destination]).inc(count)
        self._metrics.end_to_end.observe_all([max(0.0, now - settled.received_at_ms / 1000) for settled in published])
        self._metrics.detection_delay.observe_all(
            [
                max(0.0, now - settled.detected_at)
                for settled in published
                if settled.detected_at is not None and settled.destination == _DETECTION
            ]
        )

    def _lose(self, reason: str, count: int) -> None:
        """Events that were received and never came to intake."""
        if count > 0:
            self._ledger.received += count
            self._metrics.received.labels(UNKNOWN_KIND).inc(count)
            self._drop(reason, count)

    def _drop(self, reason: str, count: int) -> None:
        self._ledger.dropped += count
        self._metrics.dropped.labels(reason).inc(count)
        if reason == "corrupt":
            self._metrics.spool_corrupt.inc(count)
        self.last_drop_at = time.monotonic()
        self.last_drop_reason = reason


class ReceiverAccount:
    """What one receiver process says that it has received, and what has come from it. Belongs to the flow's thread.

    Each process has its own, so that frames which are read late, or next to those of its successor, count for it alone.
    """

    def __init__(self, *, metrics: Metrics, lose: Callable[[str, int], None], is_successor: Callable[[], bool]) -> None:
        self._metrics = metrics
        self._lose = lose
        self._is_successor = is_successor
        self._received = self._dropped = self._taken = 0
        self._phase = ""
        self._holding = False

    def on_status(self, status: Mapping[str, Any]) -> None:
        """The receiver tells its own counts, of which only the drops are news here."""
        self._lose("receiver_queue_full", status["dropped"] - self._dropped)
        self._received, self._dropped = status["received"], status["dropped"]
        self._holding = status.get("holding", False)
        if status["phase"] == "receiving" and self._phase != "receiving":
            self._metrics.dxl_connects.inc()
        self._phase = status["phase"]
        for seconds in status["canary_round_trips"]:
            self._metrics.canary.observe(seconds)

    def on_messages(self, messages: Sequence[Message]) -> None:
        """Messages have been taken over from the receiver."""
        self._taken += len(messages)
        if messages:
            self._metrics.dxl_last_event.set(messages[-1].received_at_ms / 1000)

    def close(self) -> None:
        """The process's pipe has been read to its end: what it had received and not passed on is lost.

        What a successor holds until it may deliver is not lost: the active process receives it, too. Once the successor
        has been promoted there is no such process any more.
        """
        if not (self._holding and self._is_successor()):
            self._lose("receiver_lost", self._received - self._dropped - self._taken)


def _kind_of(letter: Record) -> str:
    """The kind of event that a refused record was, by the topic that it came on."""
    kind = BY_TOPIC.get(dict(letter.headers).get("dxl_topic", b"").decode(errors="replace"))
    return UNKNOWN_KIND if kind is None else kind.name
