"""The judge: what stands in the committed output against what the spools have accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.simulation.forwarder import Forwarder
from tests.simulation.kafka import Kafka, Record
from tests.simulation.plan import Plan


def judge(kafka: Kafka, forwarders: Sequence[Forwarder]) -> list[str]:
    """Every complaint in words; none where each accepted event stands once, in order, and no spool holds any."""
    logs = [list(partition.ours(0, partition.high_watermark, committed=True)) for partition in kafka.partitions]
    counts = Counter(record.event_id for log in logs for record in log)
    accepted = {event_id for forwarder in forwarders for event_id in forwarder.accepted}
    complaints = _dropped(logs, forwarders)
    for event_id in sorted(accepted | set(counts)):
        if event_id not in accepted:
            complaints.append(f"event {_number(event_id)} is in the output and was accepted by nobody")
        elif counts[event_id] != 1 and not (counts[event_id] == 0 and _is_dropped(forwarders, event_id)):
            what = "is lost" if counts[event_id] == 0 else f"stands {counts[event_id]} times in the output"
            waiting = [forwarder.name for forwarder in forwarders if _holds(forwarder, event_id)]
            complaints.append(f"event {_number(event_id)} {'still waits in ' + str(waiting) if waiting else what}")
    for forwarder in forwarders:
        if forwarder.spool:
            complaints.append(f"the spool of {forwarder.name} still holds {len(forwarder.spool)}")
    for number, log in enumerate(logs):
        complaints += _disorder(number, log)
    return complaints


def newest_publisher(kafka: Kafka) -> tuple[str, float]:
    """Who published last, and when that was committed."""
    name, newest = "", 0.0
    for partition in kafka.partitions:
        for transaction, record, _ in reversed(partition.log):
            if record is not None and transaction is not None and transaction in partition.committed:
                if transaction.ended_at > newest:
                    name, newest = record.forwarder, transaction.ended_at
                break
    return name, newest


def longest_wait(kafka: Kafka, plan: Plan) -> float:
    """The longest time from an event on the fabric to its commit."""
    published_at = {event.event_id: event.published_at for event in plan.events}
    return max(
        (
            transaction.ended_at - published_at[record.event_id]
            for partition in kafka.partitions
            for transaction, record, _ in partition.log
            if record is not None and transaction is not None and transaction in partition.committed
        ),
        default=0.0,
    )


def late_share(kafka: Kafka) -> float:
    """The share of the records that come behind a newer event in their partition."""
    late, count = 0, 0
    for partition in kafka.partitions:
        newest = b""
        for record in partition.ours(0, partition.high_watermark, committed=True):
            late += record.event_id < newest
            count += 1
            newest = max(newest, record.event_id)
    return late / max(1, count)


def _is_dropped(forwarders: Sequence[Forwarder], event_id: bytes) -> bool:
    """Whether whoever had it has dropped it."""
    return all(event_id in each.dropped for each in forwarders if event_id in each.accepted)


def _dropped(logs: Sequence[Sequence[Record]], forwarders: Sequence[Forwarder]) -> list[str]:
    """What a member has dropped it has not published."""
    dropped = {forwarder.name: forwarder.dropped for forwarder in forwarders}
    return [
        f"event {_number(record.event_id)} was dropped by {record.forwarder}, which has published it"
        for log in logs
        for record in log
        if record.event_id in dropped[record.forwarder]
    ]


def _disorder(partition: int, log: Sequence[Record]) -> list[str]:
    """What one member publishes to one partition stands there in the order of its spool."""
    newest: dict[str, int] = {}
    found = []
    for record in log:
        if record.position < newest.get(record.forwarder, 0):
            found.append(f"event {_number(record.event_id)} of {record.forwarder} is out of order in {partition}")
        newest[record.forwarder] = record.position
    return found


def _holds(forwarder: Forwarder, event_id: bytes) -> bool:
    return any(row.event_id == event_id for row in forwarder.spool.values())


def _number(event_id: bytes) -> int:
    return int.from_bytes(event_id, "big")
