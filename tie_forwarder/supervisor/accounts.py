"""Keeping the accounts of the flow: every event that comes, goes or is lost, in the ledger and in the metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tie_forwarder.events.kinds import BY_TOPIC
from tie_forwarder.events.message import Message
from tie_forwarder.intake import Accepted, Filtered
from tie_forwarder.metrics import UNKNOWN_KIND, Metrics
from tie_forwarder.records.record import Record
from tie_forwarder.spool import Changes, Outcome, Settled
from tie_forwarder.supervisor.last_letters import LastLetters
from tie_forwarder.supervisor.ledger import Ledger
from tie_forwarder.supervisor.window import Arrival

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
