"""Asking a consumer of kafka-python for offsets, so that a partition without a leader is an error.

Fact of kafka-python 3.0 that this module lives with: where at least one partition has a leader, those without one are
left out of the answer. `end_offsets` and `beginning_offsets` then raise KeyError, and `offsets_for_times` says None, as
it does where no record is that young.
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
    partitions = list(since_ms)
    found = consumer.offsets_for_times(dict(since_ms))
    none = [partition for partition in partitions if found.get(partition) is None]
    if none:
        offsets(consumer.end_offsets, none)  # raises where the reason is a missing leader
    return {partition: None if partition in none else found[partition].offset for partition in partitions}
