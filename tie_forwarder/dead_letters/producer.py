"""The producer of a replay: transactions of its own, in which an event and its marker stand both or not at all.

Its transactional id is not the group's, which it would fence; all replays of a group share one, so that of two at once
the later one fences the earlier. What holds for a member holds here: a producer that has seen an error is not used
again, and a commit counts when readers can see its records (`unseen` says why). Whoever runs it ends with its process.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

from kafka import TopicPartition

from tie_forwarder.dead_letters.replay import Pair, Refused
from tie_forwarder.errors import ForwarderError
from tie_forwarder.group.commands import Fenced
from tie_forwarder.kafka.deadline import Deadline
from tie_forwarder.kafka.errors import REMEDIES, Causes, ErrorClass, PublisherError, Verdict
from tie_forwarder.kafka.producer import Partitions, Prefixes, Producer
from tie_forwarder.kafka.schema_ids import find_prefixes
from tie_forwarder.kafka.transactions import Refusal, Transactions
from tie_forwarder.records.record import Row
from tie_forwarder.settings import replay_id

_LOOK_SECONDS = 0.01
_HANGING_SECONDS = 2.0
"""Longer than Kafka takes to end a transaction that it knows of."""
_HIDDEN_SECONDS = 70.0
"""Longer than a transaction of a dead member holds back what stands behind it."""
_WATCH_SECONDS = 0.5

Place = tuple[str, int]


class ReplayProducer:
    """One replay's way into Kafka. One thread; every method blocks for seconds at most, but for a held-back topic."""

    def __init__(
        self,
        *,
        connection: dict[str, Any],
        options: dict[str, Any],
        topics: dict[str, str],
        group: str,
        stable_ends: Callable[[], Mapping[Place, int]],
        high_ends: Callable[[], Mapping[Place, int]],
        on_overrun: Callable[[str], None],
        registry: Mapping[str, Any] | None = None,
    ) -> None:
        """`registry` is the schema registry with its schemas, if there is one.

        The ends are those of all topics. `on_overrun` is told what has not ended in time, and ends the process."""
        self._connection = connection
        self._options = options
        self._topics = topics
        self._id = replay_id(group)
        self._registry = registry
        self._prefixes = Prefixes()
        self._stable_ends = stable_ends
        self._high_ends = high_ends
        self._on_overrun = on_overrun
        self._partitions = Partitions()
        self._deadline = Deadline()
        self._causes = Causes()
        self._closed = threading.Event()
        self._transactions: Transactions | None = None

    def open(self) -> dict[Place, int]:
        """Fences every other replay, and waits until nothing is held back in the topics.

        What hangs of an earlier replay is committed; where that was, and from which offset on, is returned: there may
        stand events without a marker that anybody could read before. Raises ForwarderError.
        """
        self._causes.attach()
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()
        with self._told():
            self._find_prefixes()
            self._open_new()
            return self._wait_until_visible(self._high_ends())

    def publish(self, pairs: Sequence[Pair]) -> list[Refused]:
        """Publishes all pairs but those that Kafka refuses alone on a new producer; readers see them then.

        Raises ForwarderError: what was published before that is marked, and the rest is not there.
        """
        refused: list[Refused] = []
        waiting = deque(pairs)
        limit, then_alone = len(pairs), False
        with self._told():
            while waiting:
                batch = list(islice(waiting, limit))
                refusal = self._attempt(batch)
                if refusal is not None and len(batch) > 1:
                    before = refusal.before // 2
                    limit, then_alone = max(1, before), before > 0
                    continue
                if refusal is not None:
                    refused.append(Refused(batch[0], refusal.verdict.code, refusal.verdict.detail))
                for _ in batch:
                    waiting.popleft()
                limit, then_alone = 1 if then_alone else len(pairs), False
        return refused

    def close(self) -> None:
        """Lets the producer go."""
        self._closed.set()
        if self._transactions is not None:
            self._transactions.close()

    def _attempt(self, pairs: Sequence[Pair]) -> Refusal | None:
        """One transaction. After a refusal nothing of it is there, and the producer is a new one."""
        assert self._transactions is not None, "open() comes before publish()"
        rows, partitions = _rows(pairs)
        result = self._transactions.publish(rows, partitions=partitions)
        if isinstance(result, Refusal):
            if result.verdict.code == "invalid_timestamp":
                verdict = Verdict(ErrorClass.BLOCKED, "clock", result.verdict.detail, REMEDIES["clock"])
                raise PublisherError(verdict)
            self._open_new()
            return result
        self._wait_until_visible(result)
        return None

    def _find_prefixes(self) -> None:
        if self._registry is not None:
            found = find_prefixes(self._registry, self._topics)
            if isinstance(found, Verdict):
                raise ForwarderError(found.detail, remedy=found.remedy)
            self._prefixes = found

    def _open_new(self) -> None:
        """A new producer; its initialisation ends what the one before has left open."""
        if self._transactions is not None and not self._transactions.close():
            raise PublisherError(Verdict(ErrorClass.TRANSIENT, "renewed", "the producer could not be ended"))
        self._transactions = self._make(keep_waiting=True)
        self._transactions.open()

    def _end_what_is_open(self) -> None:
        """After an error: a transaction that stays open would hide what comes behind it from readers for a minute."""
        if self._transactions is not None:
            self._transactions.abandon()
            self._transactions = self._make(keep_waiting=False)
            with suppress(PublisherError, Fenced):
                self._transactions.open()
            self._transactions.abandon()

    def _make(self, *, keep_waiting: bool) -> Transactions:
        producer = Producer(
            connection=self._connection,
            options=self._options,
            topics=self._topics,
            member=None,
            partitions=self._partitions,
            transactional_id=self._id,
            prefixes=self._prefixes,
        )
        return Transactions(
            producer=producer,
            deadline=self._deadline,
            keep_waiting=lambda: keep_waiting,
            watch=lambda _sent, _decided: None,
            throttled=lambda: self._causes.throttled,
        )

    def _wait_until_visible(self, ends: Mapping[Place, int]) -> dict[Place, int]:
        """Waits until readers can see all before these ends; where that needed help, and from which offset on."""
        assert self._transactions is not None
        began, helped = time.monotonic(), dict[Place, int]()
        while True:
            stable = self._stable_ends()
            hidden = {place: stable.get(place, 0) for place, end in ends.items() if stable.get(place, 0) < end}
            if not hidden:
                return helped
            waited = time.monotonic() - began
            if waited > _HIDDEN_SECONDS:
                places = ", ".join(f"{topic}-{number} from offset {first}" for (topic, number), first in hidden.items())
                detail = f"an open transaction holds back what stands behind it: {places}"
                verdict = Verdict(ErrorClass.TRANSIENT, "open_transaction", detail, REMEDIES["open_transaction"])
                raise PublisherError(verdict)
            if waited > _HANGING_SECONDS and not helped:
                helped = hidden
                self._transactions.commit_empty(TopicPartition(*place) for place in hidden)
            time.sleep(_LOOK_SECONDS)

    def _watch(self) -> None:
        while not self._closed.wait(_WATCH_SECONDS):
            overrun = self._deadline.overrun()
            if overrun:
                self._on_overrun(overrun)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Fenced as error:
            self._abandon()
            message = "another replay of this group has begun, and this one has ended"
            raise ForwarderError(message, remedy="let that one end; what was replayed is marked") from error
        except PublisherError as error:
            self._end_what_is_open()
            verdict = self._causes.explain(error.verdict)
            if verdict.code == "transactional_id_authorization":
                remedy = f"grant this user Write and Describe on the transactional id {self._id}"
                raise ForwarderError(f"Kafka: {verdict.detail}", remedy=remedy) from error
            raise ForwarderError(f"Kafka: {verdict.detail}", remedy=verdict.remedy or "run it again") from error
        except BaseException:  # an interruption, too, leaves a producer behind that must not print when it is forgotten
            self._abandon()
            raise

    def _abandon(self) -> None:
        if self._transactions is not None:
            self._transactions.abandon()


def _rows(pairs: Sequence[Pair]) -> tuple[list[Row], dict[int, int]]:
    """Each event with its marker behind it, and where the markers go."""
    rows, partitions = [], {}
    for number, pair in enumerate(pairs):
        rows += [Row(2 * number, pair.event, None), Row(2 * number + 1, pair.marker, None)]
        partitions[2 * number + 1] = pair.partition
    return rows, partitions
