"""A model of Kafka: partitions, transactions, the coordinator of the group's one transactional id, and its refusals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tests.simulation.world import World
from tie_forwarder.group.commands import Fenced


def wall_clock_ms(now: float) -> int:
    """What a right clock shows at that time of the world."""
    return int((1_000_000 + now) * 1000)


class Record(NamedTuple):
    """A record of our kind."""

    event_id: bytes
    forwarder: str
    received_at_ms: int
    position: int
    dead_letter: bool


class Concurrent(Exception):  # noqa: N818 - Kafka's own word
    """CONCURRENT_TRANSACTIONS: the transaction before is still being ended; ask again."""


class Refused(Exception):  # noqa: N818 - Kafka's own word
    """One of the records is such that Kafka does not take it."""


class Transaction:
    """A transaction of the group, or of somebody else."""

    def __init__(self, *, ours: bool = True) -> None:
        self.ours = ours
        self.ending = False
        self.committed = False
        """What the coordinator has decided."""
        self.ended_at = 0.0
        self.places: set[Partition] = set()
        """The partitions that it was announced for, and that still miss its mark."""


class Entry(NamedTuple):
    """What an offset has: its transaction, if any, its record, if it is of our kind, and its timestamp."""

    transaction: Transaction | None
    record: Record | None
    timestamp_ms: int


class Partition:
    """A log."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.newest_ms = 0
        """The latest timestamp in it."""
        self.leaderless_until = 0.0
        self.open: dict[Transaction, int] = {}
        self.committed: set[Transaction | None] = {None}
        """The transactions that have a mark here which says so; what stands in none is committed."""

    @property
    def high_watermark(self) -> int:
        """Where the next entry goes."""
        return len(self.log)

    @property
    def last_stable_offset(self) -> int:
        """Where the first open transaction begins, or the end."""
        return min(self.open.values()) if self.open else len(self.log)

    def append(self, transaction: Transaction | None, record: Record | None, timestamp_ms: int) -> int:
        """Returns the offset."""
        offset = len(self.log)
        if transaction is not None:
            self.open.setdefault(transaction, offset)
            transaction.places.add(self)
        self._write(Entry(transaction, record, timestamp_ms))
        return offset

    def mark(self, transaction: Transaction, timestamp_ms: int) -> None:
        """Writes the control record that ends here the transaction, and whatever else hangs by the same id."""
        for ended in [other for other in self.open if other is transaction or (other.ours and transaction.ours)]:
            del self.open[ended]
            if transaction.committed:
                self.committed.add(ended)
        self._write(Entry(None, None, timestamp_ms))
        transaction.places.discard(self)

    def _write(self, entry: Entry) -> None:
        self.log.append(entry)
        self.newest_ms = max(self.newest_ms, entry.timestamp_ms)

    def ours(self, first: int, end: int, *, committed: bool) -> Iterable[Record]:
        """Records of our kind in that range; committed ones only, or all."""
        return (record for record, _ in self.stamped(first, end, committed=committed))

    def stamped(self, first: int, end: int, *, committed: bool) -> Iterable[tuple[Record, int]]:
        """The same, each with its timestamp."""
        for transaction, record, timestamp_ms in self.log[first:end]:
            if record is not None and (transaction in self.committed or not committed):
                yield record, timestamp_ms

    def offset_for_time(self, since_ms: int) -> int | None:
        """The first record that is as young as that, as a read_committed reader is told: None from the LSO on."""
        for offset, entry in enumerate(self.log):
            if entry.timestamp_ms >= since_ms:
                return offset if offset < self.last_stable_offset else None
        return None


class Kafka:
    """The output topics as one list of partitions, the last of which takes the dead letters."""

    def __init__(self, world: World, *, partitions: int, slowest_mark: float, log_append_time: bool) -> None:
        self._world = world
        self._slowest_mark = slowest_mark
        self._log_append_time = log_append_time
        self.partitions = [Partition() for _ in range(partitions + 1)]
        self.poison: set[bytes] = set()
        self.down_until = 0.0
        self.forgetful_until = 0.0
        """Until then it ends transactions without a mark, and takes them for ended."""
        self.vacant = True
        self.inits = 0
        self._epoch = 0
        self._timed_out_epoch = -1
        self._timeout = 0.0
        self._current: Transaction | None = None

    def now_ms(self) -> int:
        """The brokers' clock."""
        return wall_clock_ms(self._world.now)

    def leaderless_until(self, places: Iterable[int]) -> float:
        """When the last of these partitions has a leader again."""
        return max((self.partitions[place].leaderless_until for place in places), default=0.0)

    def partition_of(self, record: Record) -> int:
        """Dead letters have a partition of their own; the key is the event's number."""
        return len(self.partitions) - 1 if record.dead_letter else record.event_id[-1] % (len(self.partitions) - 1)

    def initialise(self, timeout: float, *, vacate: bool) -> int:
        """Fences whoever was there, ends its open transaction, and returns the epoch. Raises Concurrent meanwhile."""
        if self._current is not None:
            if not self._current.ending:
                self._epoch += 1
                self._end(self._current, commit=False)
            if self._current is not None:
                raise Concurrent
        self._epoch += 1
        self._timeout = timeout
        self.vacant = vacate
        self.inits += 1
        return self._epoch

    def produce(self, epoch: int, partition: int, records: list[Record]) -> list[int]:
        """Appends to the epoch's transaction, which the first record begins."""
        if epoch != self._epoch:
            raise Fenced("producer epoch")
        if self._current is not None and self._current.ending:
            raise Concurrent
        if any(record.event_id in self.poison and not record.dead_letter for record in records):
            raise Refused
        if self._current is None:
            self._current = transaction = Transaction()
            self._world.at(self._world.now + self._timeout, lambda: self._time_out(transaction, epoch))
        current = self._current
        log = self.partitions[partition]
        return [
            log.append(current, record, self.now_ms() if self._log_append_time else record.received_at_ms)
            for record in records
        ]

    def commit_empty(self, epoch: int, partitions: Iterable[int]) -> None:
        """One transaction without a record."""
        if epoch != self._epoch:
            raise Fenced("producer epoch")
        if self._current is not None:
            raise Concurrent
        transaction = Transaction()
        transaction.places = {self.partitions[number] for number in partitions}
        self._current = transaction
        self._end(transaction, commit=True)

    def commit(self, epoch: int) -> None:
        """Ends the epoch's transaction. Lies where it has timed out: the client raises its epoch without a word."""
        if epoch != self._epoch:
            if epoch == self._timed_out_epoch and self._epoch == epoch + 1 and self._world.random.random() < 0.7:
                return
            raise Fenced("producer epoch")
        if self._current is not None and not self._current.ending:
            self._end(self._current, commit=True)

    def end(self, transaction: Transaction, *, commit: bool) -> None:
        """Ends somebody else's transaction."""
        self._end(transaction, commit=commit)

    def _time_out(self, transaction: Transaction, epoch: int) -> None:
        if self._current is transaction and not transaction.ending:
            self._world.tell("kafka", f"transaction of epoch {epoch} times out")
            self._timed_out_epoch = self._epoch
            self._epoch += 1
            self._end(transaction, commit=False)

    def _end(self, transaction: Transaction, *, commit: bool) -> None:
        """Decides at once, and writes a mark into each partition some time later."""
        transaction.ending = True
        transaction.committed = commit
        transaction.ended_at = self._world.now
        places = [partition for partition in self.partitions if partition in transaction.places]
        if not places:
            self._forget(transaction)
        for partition in places:
            delay = self._world.random.uniform(0.0, self._slowest_mark)
            self._world.under_way += 1
            self._world.at(self._world.now + delay, lambda partition=partition: self._mark(transaction, partition))  # type: ignore[misc]

    def _mark(self, transaction: Transaction, partition: Partition) -> None:
        if self._world.now < partition.leaderless_until:
            self._world.at(partition.leaderless_until + 0.01, lambda: self._mark(transaction, partition))
            return
        self._world.under_way -= 1
        if transaction.ours and self._world.now < self.forgetful_until:
            self._world.tell("kafka", "loses the end of a transaction")
            transaction.places.discard(partition)
        else:
            partition.mark(transaction, self.now_ms())
        if not transaction.places:
            self._forget(transaction)

    def _forget(self, transaction: Transaction) -> None:
        if self._current is transaction:
            self._current = None
