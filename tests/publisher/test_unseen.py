"""Committed rows until readers can see them."""

from __future__ import annotations

import pytest

from tie_forwarder.publisher.unseen import Unseen


class Output:
    """The last stable offsets, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 50.0
        self.ends = {("t", 0): 0, ("t", 1): 0}
        self.asked = 0

    def stable_ends(self) -> dict[tuple[str, int], int]:
        self.asked += 1
        return self.ends


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture
def unseen(output: Output) -> Unseen:
    return Unseen(stable_ends=output.stable_ends, monotonic=lambda: output.now)


def add(unseen: Unseen, positions: list[int], **ends: int) -> list[int]:
    """A batch that ends in partitions `p0` and `p1` of the topic."""
    unseen.add(positions, {("t", int(name[1:])): end for name, end in ends.items()}, 0.1)
    return positions


def positions_of(unseen: Unseen) -> list[int]:
    return [position for batch in unseen.release() for position in batch.positions]


def test_a_batch_is_seen_when_every_partition_is_stable_beyond_it(unseen: Unseen, output: Output) -> None:
    positions = add(unseen, [1, 2, 3], p0=2, p1=1)
    output.ends = {("t", 0): 2, ("t", 1): 0}
    assert positions_of(unseen) == []
    output.ends = {("t", 0): 2, ("t", 1): 1}
    assert positions_of(unseen) == positions
    assert not unseen


def test_batches_are_seen_in_their_order(unseen: Unseen, output: Output) -> None:
    first, second = add(unseen, [1], p0=1), add(unseen, [2], p1=1)
    output.ends = {("t", 0): 0, ("t", 1): 9}
    assert positions_of(unseen) == []
    output.ends = {("t", 0): 9, ("t", 1): 9}
    assert positions_of(unseen) == [*first, *second]


def test_a_partition_that_kafka_does_not_name_hides(unseen: Unseen, output: Output) -> None:
    add(unseen, [1], p7=1)
    output.ends = {("t", 0): 9, ("t", 1): 9}
    assert positions_of(unseen) == []


def test_kafka_is_asked_now_and_then_and_only_while_something_waits(unseen: Unseen, output: Output) -> None:
    due = [unseen.due]
    add(unseen, [1], p0=1)
    for _ in range(10):
        due.append(unseen.due)
        if due[-1]:
            unseen.release()
        output.now += 0.02
    assert due == [False, True, False, False, True, False, False, True, False, False, True]


def test_what_stays_hidden_is_told_and_complained_of_now_and_then(unseen: Unseen, output: Output) -> None:
    add(unseen, [1], p0=1)
    troubles, complaints = [], 0
    for _ in range(600):
        unseen.release()
        troubles.append(unseen.trouble)
        complaints += unseen.overdue()
        output.now += 0.1
    assert troubles[:30] == [None] * 30
    assert {trouble and trouble.code for trouble in troubles[31:]} == {"open_transaction"}
    assert complaints == 2
    output.ends = {("t", 0): 1}
    unseen.release()
    assert unseen.trouble is None
    assert not unseen.overdue()


def test_what_a_new_producer_finds_is_read_from_the_output(unseen: Unseen, output: Output) -> None:
    add(unseen, [1], p0=1)
    unseen.clear()
    output.ends = {("t", 0): 9}
    assert positions_of(unseen) == []
