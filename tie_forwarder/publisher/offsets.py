"""Asking a consumer of kafka-python for offsets, so that a partition without a leader is an error.

kafka-python 3.0 leaves partitions without a leader out of its answer if at least one other partition has a leader:
`end_offsets` and `beginning_offsets` then raise KeyError, and `offsets_for_times` returns None, as it does if no record
is that young. If no partition has a leader, all three wait until one has been elected, or time out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka import TopicPartition
from kafka.errors import LeaderNotAvailableError


def offsets(ask: Callable[[Sequence[TopicPartition]], Any], partitions: Sequence[TopicPartition]) -> dict[Any, int]:
    """The answer to `end_offsets` or `beginning_offsets`, for every partition. Raises KafkaError."""
    try:
        return dict(ask(partitions))
    except KeyError as error:
        missing = error.args[0]
        if not isinstance(missing, TopicPartition):
            raise
        raise LeaderNotAvailableError(f"partition {missing.partition} of {missing.topic} has no leader") from error


def first_offsets_since(consumer: Any, since_ms: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int | None]:
    """The offset of the first record of each partition that is as young as that; None where none is.

    Raises KafkaError.
    """
    found = dict(consumer.offsets_for_times(dict(since_ms)))
    for partition in since_ms:
        if found.get(partition) is None:
            # Asked alone, the client waits for the leader: None can then only mean that no record is that young.
            found[partition] = consumer.offsets_for_times({partition: since_ms[partition]}).get(partition)
    return {partition: None if (at := found[partition]) is None else at.offset for partition in since_ms}
