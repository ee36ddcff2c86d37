"""kafka-python's producer with its traps avoided; thrown away after an error.

Also its settings as measured with version 3.0.12, Kafka's own murmur2 partitioning, and a schema registry's prefixes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaConfigurationError, KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from kafka.partitioner.default import murmur2

from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, PublisherError, Verdict, classify
from tie_forwarder.kafka.limits import MOST_HEADER_BYTES, Limits
from tie_forwarder.records.dead_letter import DESTINATION as DEAD_LETTER
from tie_forwarder.records.record import Record, Row
from tie_forwarder.records.size import batch_bytes
from tie_forwarder.records.wire_format import form_of, registry_prefix

TRANSACTION_TIMEOUT_MS = 60_000
VACANT_TIMEOUT_MS = 7_919
"""A member that leaves in an orderly way initialises the transactional id once more with this odd time-out: Kafka keeps
it with the id, and so anybody who asks the coordinator sees that the seat is vacant."""

RETRY_BACKOFF_MS = 100
"""Between two attempts to send a batch: brokers that cannot take it now are not helped by more."""

BETWEEN_TRANSACTIONS_MS = 2
"""The same option, as the transactional calls understand it: a commit is under way for some milliseconds, and the next
transaction would wait a tenth of a second each time."""

PRODUCER: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "allow_auto_create_topics": False,
    # A batch that reaches its delivery timeout wedges the idempotent producer for ever.
    "delivery_timeout_ms": 2**31 - 1,
    "request_timeout_ms": 10_000,
    "max_block_ms": 1_000,
    "bootstrap_timeout_ms": 3_000,
    "reconnect_backoff_max_ms": 1_000,
    "metadata_max_age_ms": 30_000,
    # `Producer.wait` flushes. Until then the library's thread leaves the one that makes the batch alone, and Kafka gets
    # one request where it would get many. What is sent again after an error waits so long, too.
    "linger_ms": 50,
    "batch_size": 256 * 1024,
    "retry_backoff_ms": RETRY_BACKOFF_MS,
    # Kafka decides what is too large, not the client's default, which lies below what DXL can carry.
    "max_request_size": 8 * 1024 * 1024,
    "metrics_enabled": False,
}

_REFRESH_BACKOFF_MS = 20


def refresh_soon(client: Any, cluster: str) -> None:
    """Lets a client of kafka-python ask for metadata twice within 20 ms; `cluster` is its attribute that keeps them.

    The library hands its `retry_backoff_ms` to all of its parts but this one, which waits 100 ms instead, several times
    at every start. Without effect where a later version has no such attribute.
    """
    with suppress(AttributeError, KeyError, TypeError):
        getattr(client, cluster).config["retry_backoff_ms"] = _REFRESH_BACKOFF_MS


_MOST_KEYS = 20_000


class Partitions:
    """Maps keys to partitions. One thread."""

    def __init__(self) -> None:
        self._hashes: dict[bytes, int] = {}

    def of(self, key: bytes | None, event_id: str, count: int) -> int:
        """The partition among `count`; a record without a key is spread by its event id, the same at every attempt."""
        data = event_id.encode() if key is None else key
        value = self._hashes.get(data)
        if value is None:
            if len(self._hashes) >= _MOST_KEYS:
                self._hashes.clear()
            value = murmur2(data) & 0x7FFFFFFF
            if key is not None:
                self._hashes[data] = value
        return value % count


class SchemaOf(NamedTuple):
    """The schema of the records of a destination."""

    schema_id: int
    form: str
    """The format of the values that it describes."""


class Prefixes:
    """Knows the bytes for each record. Immutable."""

    def __init__(self, schemas: Mapping[str, SchemaOf] = MappingProxyType({})) -> None:
        """`schemas` are by destination; one that is not there has no bytes, as the dead letters."""
        self._known = {name: (registry_prefix(each.schema_id), each.form) for name, each in schemas.items()}

    def before(self, record: Record) -> bytes:
        """The bytes; none where there is no schema.

        Raises PublisherError for a record that was rendered in another format, when `kafka.format` was another one: its
        schema would be a false one.
        """
        known = self._known.get(record.destination)
        if known is None:
            return b""
        prefix, form = known
        found = form_of(record)
        if found != form:
            detail = f"the spool has a {record.destination} in the format {found}, and kafka.format is {form}"
            raise PublisherError(Verdict(ErrorClass.BLOCKED, "registry_format", detail, REMEDIES["registry_format"]))
        return prefix


_SLICE_SECONDS = 0.1
_CLOSE_SECONDS = 2.0


class Sent(NamedTuple):
    """A row that was handed to the producer, with the future that tells its fate."""

    row: Row
    future: Any


class Refused(NamedTuple):
    """A row that Kafka refuses by itself, and why."""

    row: Row
    verdict: Verdict
    letter_bytes: int | None = None
    """How large the dead letter may be as a batch of its own; None where that is not known."""


class Producer:
    """One KafkaProducer from its making to its first error. One thread; every method may block as it says."""

    def __init__(
        self,
        *,
        connection: dict[str, Any],
        options: dict[str, Any],
        topics: dict[str, str],
        member: str | None,
        partitions: Partitions,
        transactional_id: str | None = None,
        prefixes: Prefixes | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`member` is who the records say has published them; None where it is no member of a group.

        `prefixes` are the bytes of a schema registry, where there is one. Without `limits` Kafka alone judges sizes.
        """
        self._settings = {**PRODUCER, **options, **connection}
        self._retry_backoff_ms = self._settings["retry_backoff_ms"]
        if transactional_id is not None:
            self._settings |= {
                "transactional_id": transactional_id,
                "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS,
                "retry_backoff_ms": BETWEEN_TRANSACTIONS_MS,
                "linger_ms": 0,  # the partitions of a transaction are made known to Kafka while its batch is made
            }
        self._topics = topics
        self._added = [] if member is None else [("ce_forwarder", member.encode())]
        self._partitions = partitions
        self._prefixes = prefixes or Prefixes()
        self._limits = limits
        self._producer: Any = None

    @property
    def client(self) -> Any:
        """kafka-python's own producer, for its transactional calls."""
        return self._producer

    def open(self) -> None:
        """Connects; blocks up to the bootstrap timeout. Raises PublisherError."""
        try:
            self._producer = KafkaProducer(**self._settings)
        except (ValueError, TypeError, AssertionError, RuntimeError, KafkaConfigurationError) as error:
            detail = f"kafka-python refuses an option: {error}"
            raise PublisherError(
                Verdict(ErrorClass.BLOCKED, "producer_options", detail, REMEDIES["producer_options"])
            ) from error
        except Exception as error:  # kafka-python raises anything for an option; `classify` names it
            raise PublisherError(classify(error)) from error
        # One option for two things: batches are to be sent again less often than transactions are to follow each other.
        self._producer._accumulator.config["retry_backoff_ms"] = self._retry_backoff_ms  # noqa: SLF001
        self._producer._estimate_size_in_bytes = _at_most  # noqa: SLF001 - the exact size costs as much as the record

    def sift(self, rows: Sequence[Row]) -> tuple[list[Row], list[Refused]]:
        """Those that may be sent, and those that are too large for their topics.

        May block for a second to read the limits again. Raises PublisherError like `send`.
        """
        limits = self._limits
        if limits is None:
            return list(rows), []
        harmless = {name: limits.harmless_value_bytes(topic) for name, topic in self._topics.items()}
        large = [row for row in rows if len(row.record.value) > harmless[row.record.destination]]
        refused = [Refused(row, verdict, self._letter_bytes()) for row in large if (verdict := self._excess(row))]
        positions = {each.row.position for each in refused}
        return [row for row in rows if row.position not in positions], refused

    def refused_alone(self, row: Row, verdict: Verdict) -> Refused:
        """Kafka has refused the row, which was alone: what is to be reported. May block for a second."""
        if self._limits is not None and verdict.code == "too_large":
            verdict = self._limits.learn(*self._parts(row))
        return Refused(row, verdict, self._letter_bytes())

    def refused_among_others(self, verdict: Verdict) -> None:
        """Kafka has refused a batch for one of its rows. May block for a second."""
        if self._limits is not None and verdict.code == "too_large":
            self._limits.read_again()

    def _excess(self, row: Row) -> Verdict | None:
        assert self._limits is not None
        return self._limits.excess(*self._parts(row))

    def _parts(self, row: Row) -> tuple[str, bytes | None, bytes, list[tuple[str, bytes]]]:
        record = row.record
        value = self._prefixes.before(record) + record.value
        return self._topics[record.destination], record.key, value, [*record.headers, *self._added]

    def _letter_bytes(self) -> int | None:
        """Without what is added to the record here."""
        room = None if self._limits is None else self._limits.room(self._topics[DEAD_LETTER])
        return None if room is None else room - batch_bytes(None, 0, self._added)

    def send(self, row: Row, *, timestamp_ms: int | None = None, partition: int | None = None) -> Any:
        """Hands the row over and returns its future. Blocks up to `max_block_ms` for the topic's metadata.

        Raises PublisherError; one of class POISON concerns this row alone and leaves the producer whole.
        """
        record = row.record
        topic, key, value, headers = self._parts(row)
        try:
            count = len(self._producer.partitions_for(topic))
            if partition is None:
                partition = self._partitions.of(key, record.event_id, count)
            return self._producer.send(
                topic,
                value=value,
                key=key,
                headers=headers,
                partition=partition,
                timestamp_ms=record.received_at_ms if timestamp_ms is None else timestamp_ms,
            )
        except MessageSizeTooLargeError as error:
            raise PublisherError(classify(error)) from error
        except KafkaTimeoutError as error:
            raise PublisherError(
                Verdict(ErrorClass.TRANSIENT, "timeout", f"Kafka gives no metadata for the topic {topic}")
            ) from error
        except Exception as error:  # as above: the caller knows classes only
            raise PublisherError(classify(error)) from error

    def wait(self, sent: Sequence[Sent], *, keep_waiting: Callable[[], bool]) -> None:
        """Sends what `send` took; blocks until every future is decided, as long as `keep_waiting` agrees.

        Asks it ten times a second.
        """
        if sent and self._producer is not None:
            with suppress(KafkaError):  # the futures tell what it is
                self._producer.flush(timeout=_SLICE_SECONDS)
        for _, future in sent:
            while not future.is_done:
                try:
                    future.get(timeout=_SLICE_SECONDS)
                except KafkaError:
                    if not future.is_done and not keep_waiting():
                        return

    @staticmethod
    def outcome(future: Any) -> Verdict | None:
        """None when Kafka has the record; else what is wrong. To be asked after `wait`."""
        if future.is_done and future.succeeded():
            return None
        if not future.is_done:
            return Verdict(ErrorClass.TRANSIENT, "timeout", "Kafka did not answer in time")
        return classify(future.exception)

    def close(self) -> bool:
        """Ends the producer when nothing is outstanding; false when its thread could not be ended."""
        producer, self._producer = self._producer, None
        if producer is None:
            return True
        started = time.monotonic()
        try:
            producer.close(timeout=_CLOSE_SECONDS)
        except Exception:  # noqa: BLE001 - it raises when something is outstanding, and then leaves its thread alive
            return False
        return time.monotonic() - started < _CLOSE_SECONDS

    def abandon(self) -> None:
        """After an error, where the process does not end at once: stops its thread, and whatever it has not sent.

        Else the library tries to close it when it is forgotten, and prints a traceback of how that fails.
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            producer._sender.force_close()  # noqa: SLF001 - the only way to stop it
            producer._unregister_cleanup()  # noqa: SLF001 - or it is closed again at the end of the process
            producer._closed = True  # noqa: SLF001 - or when it is forgotten


def _at_most(key: bytes | None, value: bytes | None, _: object) -> int:
    """An upper bound of a record's size, which is all that the library wants to know before it takes it.

    Headers are bounded where records are rendered.
    """
    return len(key or b"") + len(value or b"") + MOST_HEADER_BYTES
