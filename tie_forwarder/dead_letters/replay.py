"""The replay: each dead letter is judged by today's rules, and what is valid now is published once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from tie_forwarder.dead_letters.letters import DeadLetterTopic, Letter, Selection, packed
from tie_forwarder.intake import Filtered, Intake
from tie_forwarder.records.dead_letter import render_marker, render_replayed
from tie_forwarder.records.record import Record


class Fate(StrEnum):
    """What became of a dead letter; the value is what a person reads."""

    REPLAYED = "replayed"
    """Its event stands in Kafka now; of a dry run: would be replayed."""
    BEFORE = "before"
    """It was replayed before, or stands in the topic twice."""
    INVALID = "still invalid"
    """It is no valid event by today's rules either."""
    FILTERED = "filtered"
    """It is valid, and a filter keeps it back."""
    CUT = "not whole"
    """It holds a record that Kafka had refused, and not the message of the fabric."""
    REFUSED = "refused"
    """Kafka has refused the record of its event, or its marker, now."""


class Counts:
    """Counts letters by reason and fate."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Fate]] = Counter()

    def add(self, reason: str, fate: Fate, count: int = 1) -> None:
        """Letters have met their fate."""
        self._counts[reason, fate] += count

    def total(self, fate: Fate) -> int:
        """How many have met this fate."""
        return sum(count for (_, each), count in self._counts.items() if each is fate)

    def rows(self) -> Iterator[tuple[str, list[int]]]:
        """Each reason, in alphabetical order, with its counts in the order of `Fate`; the totals come last."""
        for reason in sorted({reason for reason, _ in self._counts}):
            yield reason, [self._counts[reason, fate] for fate in Fate]
        yield "all", [self.total(fate) for fate in Fate]


_BATCH_EVENTS = 200
_BATCH_BYTES = 2 * 1024 * 1024


class Pair(NamedTuple):
    """What goes into Kafka together, or not at all."""

    event: Record
    marker: Record
    partition: int
    """Of the marker: that of its letter, which retention then deletes before the marker."""
    reason: str
    """Why the letter was dead."""


class Refused(NamedTuple):
    """A pair that Kafka does not take."""

    pair: Pair
    code: str
    detail: str


class Outlet(Protocol):
    """Who writes to Kafka."""

    def publish(self, pairs: Sequence[Pair]) -> list[Refused]:
        """Publishes all pairs but those that it returns; afterwards readers see them. Raises ForwarderError."""


class Replay:
    """One run. One thread."""

    def __init__(
        self,
        *,
        topic: DeadLetterTopic,
        intake: Intake,
        topic_of: Callable[[str], str],
        outlet: Outlet | None,
        selection: Selection,
        replayed_before: set[bytes],
        now_ms: Callable[[], int],
        counts: Counts,
        on_refused: Callable[[Refused], None],
    ) -> None:
        """`outlet` is None for a dry run; `topic_of` knows the topic of a destination.

        `replayed_before` holds packed ids of which no marker need be read. `counts` is right also after an error:
        nothing counts as replayed that is not in Kafka.
        """
        self._counts = counts
        self._topic = topic
        self._intake = intake
        self._topic_of = topic_of
        self._outlet = outlet
        self._selection = selection
        self._done = replayed_before
        self._now_ms = now_ms
        self._on_refused = on_refused

    def run(self) -> None:
        """Judges and publishes up to the topic's end. Blocks; raises ForwarderError and Interrupted."""
        self._done |= self._topic.markers().keys()
        batch: list[Pair] = []
        size = 0
        for pair in self._pairs():
            batch.append(pair)
            size += len(pair.event.value)
            if len(batch) >= _BATCH_EVENTS or size >= _BATCH_BYTES:
                self._publish(batch)
                batch, size = [], 0
        if batch:
            self._publish(batch)

    def _pairs(self) -> Iterator[Pair]:
        """The events that are valid now; the other letters are counted."""
        for letter in self._topic.letters():
            if self._selection.takes(letter):
                judged = self._judge(letter)
                if isinstance(judged, Fate):
                    self._counts.add(letter.reason, judged)
                else:
                    self._done.add(packed(letter.event_id))
                    yield judged

    def _judge(self, letter: Letter) -> Pair | Fate:
        if packed(letter.event_id) in self._done:
            return Fate.BEFORE
        if letter.refused:
            return Fate.CUT
        accepted = self._intake.accept(letter.message())
        if isinstance(accepted, Filtered):
            return Fate.FILTERED
        if accepted.reason is not None:
            return Fate.INVALID
        now_ms = self._now_ms()
        event = render_replayed(accepted.record, replayed_at_ms=now_ms)
        marker = render_marker(letter.event_id, topic=self._topic_of(event.destination), replayed_at_ms=now_ms)
        return Pair(event, marker, letter.record.partition, letter.reason)

    def _publish(self, batch: Sequence[Pair]) -> None:
        refused = [] if self._outlet is None else self._outlet.publish(batch)
        for pair in batch:
            self._counts.add(pair.reason, Fate.REPLAYED)
        for each in refused:
            self._counts.add(each.pair.reason, Fate.REPLAYED, -1)
            self._counts.add(each.pair.reason, Fate.REFUSED)
            self._on_refused(each)
