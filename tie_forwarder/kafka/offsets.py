"""Asking a consumer of kafka-python for offsets, so that a partition without a leader is an error.

Facts of kafka-python 3.0 that this module lives with: where at least one of the partitions in a question has a leader,
those without one are left out of the answer. `end_offsets` and `beginning_offsets` then raise KeyError, and
`offsets_for_times` returns None, as it does where no record is that young. Where none of them has a leader, each of
these calls waits for the election and raises KafkaTimeoutError after the request timeout.
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

    Blocks up to the request timeout, for each partition that has none. Raises KafkaError.
    """
    found = dict(consumer.offsets_for_times(dict(since_ms)))
    none = [partition for partition in since_ms if found.get(partition) is None]
    if none:
        offsets(consumer.end_offsets, none)  # names a partition that has no leader yet
    for partition in none:
        # The leader may have been elected meanwhile. Asked alone, None has one meaning only.
        found[partition] = consumer.offsets_for_times({partition: since_ms[partition]}).get(partition)
    return {partition: None if found[partition] is None else found[partition].offset for partition in since_ms}
