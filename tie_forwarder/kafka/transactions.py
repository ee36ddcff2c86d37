"""One transaction after the other through one producer, and when a commit counts as proven.

Proven means: every future was looked at and has succeeded, the commit returned, and all of it took less than half of
the transaction's time-out. Without the last, a process that was stopped in between (SIGSTOP, a suspended machine) would
believe in a transaction that the broker has ended; kafka-python's commit may return without an error then. What is
still missing is that readers can see the records: `unseen` waits for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import NamedTuple

from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from tie_forwarder.group.commands import Fenced
from tie_forwarder.kafka.deadline import Deadline
from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, PublisherError, Verdict, classify
from tie_forwarder.kafka.producer import TRANSACTION_TIMEOUT_MS, Producer, Refused, Sent, refresh_soon
from tie_forwarder.kafka.tail import Ends
from tie_forwarder.records.record import Row

_INIT_SECONDS = 12.0
_COMMIT_SECONDS = 15.0
_CAUSE_SECONDS = 0.3
_ANSWER_SECONDS = 15.0
_THROTTLED_SECONDS = 27.0
"""A quota may keep us waiting; but half of the transaction's time-out must be enough for everything."""

_NO_PARTITIONS: Mapping[int, int] = MappingProxyType({})
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Refusal(NamedTuple):
    """A row of the transaction that Kafka refused, and how many stand before it."""

    before: int
    verdict: Verdict


class Transactions:
    """A transactional producer from its initialisation to its first error. One thread."""

    def __init__(
        self,
        *,
        producer: Producer,
        deadline: Deadline,
        keep_waiting: Callable[[], bool],
        watch: Callable[[int, int], object],
        throttled: Callable[[], bool],
    ) -> None:
        """`watch` is told while Kafka keeps us waiting how many records there are and are decided; it may raise."""
        self._producer = producer
        self._deadline = deadline
        self._keep_waiting = keep_waiting
        self._watch = watch
        self._throttled = throttled

    def open(self) -> None:
        """Connects and initialises, which fences every other producer of the group and ends its open transaction.

        Blocks for seconds. Raises PublisherError, also for a cluster that cannot do transactions.
        """
        self._producer.open()
        refresh_soon(self._producer.client, "_metadata")
        give_up_at = time.monotonic() + _INIT_SECONDS
        while True:
            try:
                with self._deadline.within(_INIT_SECONDS * 2, "the initialisation of transactions"):
                    self._producer.client.init_transactions()
            except KafkaTimeoutError as error:
                if time.monotonic() < give_up_at and self._keep_waiting():
                    continue
                detail = "Kafka's transaction coordinator does not answer, although the brokers may"
                verdict = Verdict(
                    ErrorClass.TRANSIENT, "transactions_unavailable", detail, REMEDIES["transactions_unavailable"]
                )
                raise PublisherError(verdict) from error
            except Exception as error:  # noqa: BLE001 - the library's edge: whatever it raises is translated
                _raise(classify(error), error)
            return

    def sift(self, rows: Sequence[Row]) -> tuple[list[Row], list[Refused]]:
        """As the producer does."""
        return self._producer.sift(rows)

    def refused(self, rows: Sequence[Row], verdict: Verdict) -> Refused | None:
        """Kafka has refused a transaction with these rows: what is to be reported where it had one row alone.

        May block for a second.
        """
        if len(rows) == 1:
            return self._producer.refused_alone(rows[0], verdict)
        self._producer.refused_among_others(verdict)
        return None

    def publish(
        self,
        rows: Sequence[Row],
        *,
        restamped: Set[int] = frozenset(),
        partitions: Mapping[int, int] = _NO_PARTITIONS,
    ) -> Ends | Refusal:
        """One transaction with these rows: where they end in each partition once the commit is proven.

        The positions in `restamped` get the time of now instead of the time of receipt; those in `partitions` go there,
        wherever their keys would lead.

        Blocks for Kafka's answers, seconds at most. Raises Fenced, and PublisherError when the outcome is an error or
        is unknown; the producer is not to be used again after anything but ends.
        """
        started = time.clock_gettime(_CLOCK)
        sent: list[Sent] = []
        try:
            self._producer.client.begin_transaction()
            for row in rows:
                try:
                    now_ms = time.time_ns() // 1_000_000 if row.position in restamped else None
                    partition = partitions.get(row.position)
                    sent.append(Sent(row, self._producer.send(row, timestamp_ms=now_ms, partition=partition)))
                except PublisherError as error:
                    if error.verdict.error_class is ErrorClass.POISON:
                        return Refusal(len(sent), error.verdict)
                    raise
            refusal = self._check(sent)
            if refusal is not None:
                return refusal
            self._check_clock(started)
            with self._deadline.within(_COMMIT_SECONDS, "a commit"):
                self._producer.client.commit_transaction()
        except Fenced:
            raise
        except PublisherError as error:
            _raise(self._cause(sent) or error.verdict, error)
        except Exception as error:  # noqa: BLE001 - the library's edge: whatever it raises is translated
            _raise(self._cause(sent) or classify(error), error)
        self._check_clock(started)
        return _ends(sent)

    def commit_empty(self, partitions: Iterable[TopicPartition]) -> None:
        """One transaction without a record over these partitions, which ends what hangs there by the same id.

        Kafka knows no other way to commit what its coordinator has forgotten; an administrator can only abort it.
        Raises like `publish`.
        """
        client = self._producer.client
        try:
            client.begin_transaction()
            for partition in partitions:
                client._transaction_manager.maybe_add_partition_to_transaction(partition)  # noqa: SLF001 - no public way
            with self._deadline.within(_COMMIT_SECONDS, "a commit"):
                client.commit_transaction()
        except Exception as error:  # noqa: BLE001 - the library's edge: whatever it raises is translated
            _raise(classify(error), error)

    @staticmethod
    def _check_clock(started: float) -> None:
        """Nothing is committed, and nothing counts as committed, after half of the transaction's time-out."""
        if time.clock_gettime(_CLOCK) - started > TRANSACTION_TIMEOUT_MS / 2000:
            detail = "the process stood still in a transaction, so its outcome must be read from the output"
            raise PublisherError(Verdict(ErrorClass.TRANSIENT, "timeout", detail))

    def close(self) -> bool:
        """Ends the producer when nothing is outstanding; false when its thread could not be ended."""
        with self._deadline.within(_COMMIT_SECONDS, "closing a producer"):
            return self._producer.close()

    def abandon(self) -> None:
        """Lets the producer go after an error, in a process that goes on."""
        self._producer.abandon()

    def _cause(self, sent: Sequence[Sent]) -> Verdict | None:
        """That another has taken over, where a record knows it; None otherwise.

        The library sets its state first, so that `send` may complain of that before any record has failed.
        """
        give_up_at = time.monotonic() + _CAUSE_SECONDS
        self._producer.wait(sent, keep_waiting=lambda: time.monotonic() < give_up_at)
        for _, future in sent:
            verdict = self._producer.outcome(future) if future.is_done else None
            if verdict is not None and verdict.error_class is ErrorClass.FENCED:
                return verdict
        return None

    def _check(self, sent: Sequence[Sent]) -> Refusal | None:
        """Waits for every future and looks at every one."""
        began = time.monotonic()

        def keep_waiting() -> bool:
            patience = _THROTTLED_SECONDS if self._throttled() else _ANSWER_SECONDS
            # A wish to stop does not end it: the answers are milliseconds away, or the parent loses its patience.
            self._watch(len(sent), sum(future.is_done for _, future in sent))
            return time.monotonic() - began < patience

        with self._deadline.within(_ANSWER_SECONDS * 3, "waiting for Kafka's answers"):
            self._producer.wait(sent, keep_waiting=keep_waiting)
        verdicts = [self._producer.outcome(future) for _, future in sent]
        failed = [(index, verdict) for index, verdict in enumerate(verdicts) if verdict is not None]
        if not failed:
            return None
        for index, verdict in failed:
            if verdict.error_class is ErrorClass.POISON:
                return Refusal(min(index, failed[0][0]), verdict)
        worst = min((verdict for _, verdict in failed), key=lambda verdict: _ORDER.index(verdict.error_class))
        _raise(worst, None)
        return None


_ORDER = (ErrorClass.FENCED, ErrorClass.BLOCKED, ErrorClass.TRANSIENT, ErrorClass.POISON)


def _raise(verdict: Verdict, cause: BaseException | None) -> None:
    if verdict.error_class is ErrorClass.FENCED:
        raise Fenced(verdict.detail) from cause
    raise PublisherError(verdict) from cause


def _ends(sent: Sequence[Sent]) -> Ends:
    ends: Ends = {}
    for _, future in sent:
        place = future.value.topic, future.value.partition
        ends[place] = max(ends.get(place, 0), future.value.offset + 1)
    return ends
