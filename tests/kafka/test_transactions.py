"""A transaction's error is told by what caused it, whichever thread of kafka-python knew it first."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import IllegalStateError, InvalidProducerEpochError
from kafka.producer.future import FutureProduceResult, FutureRecordMetadata

from tests.spool.test_spool import event
from tie_forwarder.group.commands import Fenced
from tie_forwarder.kafka.deadline import Deadline
from tie_forwarder.kafka.errors import PublisherError, classify
from tie_forwarder.kafka.producer import Producer
from tie_forwarder.kafka.transactions import Transactions
from tie_forwarder.records.record import Row


class BumpingProducer:
    """Takes one record, and complains of its own state at the next, some time before the first has failed."""

    wait = Producer.wait
    outcome = staticmethod(Producer.outcome)
    _producer = None

    def __init__(self, first: BaseException | None) -> None:
        self.client = SimpleNamespace(begin_transaction=lambda: None)
        self._first = first
        self._taken = 0

    def send(self, row: Row, **_: Any) -> Any:
        """Raises at the second call."""
        self._taken += 1
        if self._taken > 1:
            complaint = IllegalStateError("Cannot call send in state BUMPING_PRODUCER_EPOCH")
            raise PublisherError(classify(complaint))
        produced: Any = FutureProduceResult(TopicPartition("topic", 0))
        if self._first is not None:
            threading.Timer(0.05, produced.failure, [self._first]).start()
        return FutureRecordMetadata(produced, 0, None, None, -1, -1, -1)


def publish(first: BaseException | None) -> None:
    producer: Any = BumpingProducer(first)
    transactions = Transactions(
        producer=producer,
        deadline=Deadline(),
        keep_waiting=lambda: True,
        watch=lambda _sent, _decided: None,
        throttled=lambda: False,
    )
    transactions.publish([Row(number, event(number).record, None) for number in (1, 2)])


def test_a_state_that_was_caused_by_another_member_is_told_as_fenced() -> None:
    with pytest.raises(Fenced, match="InvalidProducerEpochError"):
        publish(InvalidProducerEpochError())


def test_a_state_of_which_no_record_knows_the_cause_is_told_as_it_is() -> None:
    with pytest.raises(PublisherError, match="BUMPING_PRODUCER_EPOCH"):
        publish(None)
