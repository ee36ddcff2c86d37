"""Delivery at least once, for clusters without transactions: one member, the idempotent producer.

A batch is sent, every future is looked at, and the one record that fails is found by sending it alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tie_forwarder.group.batch_size import BatchSize
from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, PublisherError, Verdict
from tie_forwarder.kafka.producer import Producer, Refused, Sent
from tie_forwarder.publisher.parent import Grants
from tie_forwarder.records.record import Row
from tie_forwarder.spool import Reader


class Delivery:
    """Sends batches through one producer at a time. One thread.

    `on_published` and `on_refused` are told as soon as a fate is proven; `watch` is asked while Kafka keeps us waiting
    and may raise PublisherError to end it.
    """

    def __init__(
        self,
        *,
        make_producer: Callable[[], Producer],
        on_published: Callable[[Sequence[Row]], None],
        on_refused: Callable[[Refused], None],
        watch: Callable[[int, int], bool],
    ) -> None:
        self._make_producer = make_producer
        self._on_published = on_published
        self._on_refused = on_refused
        self._watch = watch
        self._producer: Producer | None = None

    def open(self) -> None:
        """Connects. Raises PublisherError."""
        self._producer = self._make_producer()
        self._producer.open()

    def close(self) -> None:
        """Closes what is open; nothing may be outstanding."""
        if self._producer is not None:
            self._producer.close()

    def deliver(self, rows: Sequence[Row]) -> None:
        """Blocks until each row is published or refused. Raises PublisherError when the producer has to go."""
        for row in self._attempt(self._sift(rows)):
            # What was learned from one that was refused is held against the next.
            for fitting in self._sift([row]):
                self._deliver_alone(fitting)

    def _sift(self, rows: Sequence[Row]) -> list[Row]:
        assert self._producer is not None, "open() comes before deliver()"
        fitting, refused = self._producer.sift(rows)
        for each in refused:
            self._on_refused(each)
        return fitting

    def _attempt(self, rows: Sequence[Row]) -> list[Row]:
        """Sends all; returns those whose fate must be found out one by one."""
        assert self._producer is not None
        sent: list[Sent] = []
        for row in rows:
            try:
                sent.append(Sent(row, self._producer.send(row)))
            except PublisherError as error:
                if error.verdict.error_class is not ErrorClass.POISON:
                    raise
                self._on_refused(Refused(row, error.verdict))
        self._wait(sent)
        verdicts = [self._producer.outcome(future) for _, future in sent]
        self._on_published([row for (row, _), verdict in zip(sent, verdicts, strict=True) if verdict is None])
        failed = [(row, verdict) for (row, _), verdict in zip(sent, verdicts, strict=True) if verdict is not None]
        if failed:
            self._raise_unless_poison([verdict for _, verdict in failed])
            self._renew()
        return [row for row, _ in failed]

    def _deliver_alone(self, row: Row) -> None:
        verdict = self._send_alone(row, timestamp_ms=None)
        if verdict is not None and verdict.code == "invalid_timestamp":
            # This machine's clock was wrong at receipt; the time of receipt stays in the headers.
            verdict = self._send_alone(row, timestamp_ms=time.time_ns() // 1_000_000)
            if verdict is not None and verdict.code == "invalid_timestamp":
                raise PublisherError(Verdict(ErrorClass.BLOCKED, "clock", verdict.detail, REMEDIES["clock"]))
        if verdict is None:
            self._on_published([row])
        else:
            assert self._producer is not None
            self._on_refused(self._producer.refused_alone(row, verdict))

    def _send_alone(self, row: Row, *, timestamp_ms: int | None) -> Verdict | None:
        assert self._producer is not None
        try:
            sent = Sent(row, self._producer.send(row, timestamp_ms=timestamp_ms))
        except PublisherError as error:
            if error.verdict.error_class is not ErrorClass.POISON:
                raise
            return error.verdict
        self._wait([sent])
        verdict = self._producer.outcome(sent.future)
        if verdict is not None:
            self._raise_unless_poison([verdict])
            self._renew()
        return verdict

    def _wait(self, sent: Sequence[Sent]) -> None:
        assert self._producer is not None
        total = len(sent)
        self._producer.wait(sent, keep_waiting=lambda: self._watch(total, _decided(sent)))

    @staticmethod
    def _raise_unless_poison(verdicts: Sequence[Verdict]) -> None:
        if not any(verdict.error_class is ErrorClass.POISON for verdict in verdicts):
            raise PublisherError(verdicts[0])

    def _renew(self) -> None:
        assert self._producer is not None
        if not self._producer.close():
            raise PublisherError(Verdict(ErrorClass.TRANSIENT, "unknown", "the old producer could not be ended"))
        self.open()


def _decided(sent: Sequence[Sent]) -> int:
    return sum(future.is_done for _, future in sent)


_IDLE_SECONDS = 1.0


class AtLeastOnce:
    """Publishes what the grants allow, in order, from the beginning of the spool. One thread."""

    def __init__(
        self,
        *,
        reader: Reader,
        grants: Grants,
        batch_size: BatchSize,
        delivery: Delivery,
        on_corrupt: Callable[[list[int]], None],
        on_open: Callable[[], None],
        on_batch: Callable[[], None],
        on_turn: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._grants = grants
        self._batch_size = batch_size
        self._delivery = delivery
        self._on_corrupt = on_corrupt
        self._on_open = on_open
        self._on_batch = on_batch
        self._on_turn = on_turn
        self._position = 0

    def run(self) -> None:
        """Publishes until the grants are closed. Raises PublisherError when the process has to go."""
        self._delivery.open()
        self._on_open()
        while not self._grants.closed:
            self.run_once()
        self._delivery.close()

    def run_once(self) -> None:
        """One batch, or a wait for one."""
        self._on_turn()
        if not self._grants.wait_beyond(self._position, timeout_seconds=_IDLE_SECONDS):
            return
        through = self._grants.through
        page = self._reader.read(after=self._position, through=through, limit=self._batch_size.rows)
        if page.corrupt:
            self._on_corrupt(page.corrupt)
        if page.rows:
            self._on_batch()
            self._batch_size.started(len(page.rows))
            began = time.monotonic()
            self._delivery.deliver(page.rows)
            self._batch_size.succeeded(time.monotonic() - began)
        self._position = page.last_position if page.rows or page.corrupt else through
