"""Asking for offsets while partitions have no leader: no answer is not the answer "none"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from tie_forwarder.kafka.offsets import first_offsets_since

LED, ELECTING, OTHER = (TopicPartition("output", number) for number in range(3))


class At(NamedTuple):
    offset: int


class Consumer:
    """Answers as kafka-python does: a question about leaderless partitions alone waits for their election."""

    def __init__(self, *leaderless: TopicPartition, elects: bool = True) -> None:
        self.leaderless = set(leaderless)
        self.elects = elects
        self.young: dict[TopicPartition, int] = {}

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, At | None]:
        self._wait_for_leaders(times)
        return {at: At(self.young[at]) if at in self.young and at not in self.leaderless else None for at in times}

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        self._wait_for_leaders(partitions)
        answer = {at: 100 for at in partitions if at not in self.leaderless}
        return {at: answer[at] for at in partitions}

    def _wait_for_leaders(self, partitions: Sequence[TopicPartition] | Mapping[TopicPartition, int]) -> None:
        if self.leaderless.issuperset(partitions):
            if not self.elects:
                raise KafkaTimeoutError
            self.leaderless.difference_update(partitions)


def test_a_partition_whose_leader_is_elected_meanwhile_begins_with_its_young_records() -> None:
    consumer = Consumer(ELECTING)
    consumer.young = {LED: 10, ELECTING: 20}
    assert first_offsets_since(consumer, {LED: 1, ELECTING: 1}) == {LED: 10, ELECTING: 20}


def test_a_partition_without_young_records_has_none() -> None:
    consumer = Consumer()
    consumer.young = {LED: 10}
    assert first_offsets_since(consumer, {LED: 1, OTHER: 1}) == {LED: 10, OTHER: None}


@pytest.mark.parametrize("asked", [[LED, ELECTING], [LED, ELECTING, OTHER]])
def test_a_partition_that_stays_without_a_leader_is_an_error(asked: list[TopicPartition]) -> None:
    consumer = Consumer(ELECTING, elects=False)
    consumer.young = {LED: 10}
    with pytest.raises(KafkaError):
        first_offsets_since(consumer, dict.fromkeys(asked, 1))
