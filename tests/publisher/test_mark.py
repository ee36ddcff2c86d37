"""Reading up to a mark: what is waited for, what is told, and what ends the process."""

from __future__ import annotations

import pytest
from kafka import TopicPartition

from tests.harness.clock import Clock
from tie_forwarder.kafka.errors import ErrorClass, PublisherError
from tie_forwarder.publisher.unseen import Mark


class Road:
    """So many offsets to go, and what stands in the way."""

    def __init__(self) -> None:
        self.read, self.end = 0, 10
        self.in_the_way: dict[TopicPartition, int] = {}
        self.asked = 0

    @property
    def left(self) -> int:
        return self.end - self.read

    @left.setter
    def left(self, left: int) -> None:
        """Read on, or find a new end."""
        self.read = max(self.read, self.end - left)
        self.end = self.read + left

    def unread(self) -> int:
        return self.left

    def position(self) -> int:
        return self.read

    def held_back(self) -> dict[TopicPartition, int]:
        self.asked += 1
        return self.in_the_way


@pytest.fixture
def road() -> Road:
    return Road()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mark(road: Road, clock: Clock) -> Mark:
    return Mark(distance=road, monotonic=clock)


def wait(mark: Mark, clock: Clock, seconds: float) -> None:
    """Asks ten times a second, as the tail does."""
    for _ in range(round(seconds * 10)):
        clock.now += 0.1
        assert not mark.reached()


def test_a_mark_is_reached_when_nothing_is_left(mark: Mark, road: Road) -> None:
    assert not mark.reached()
    road.left = 0
    assert mark.reached()
    assert road.asked == 0


def test_nobody_is_asked_while_the_mark_comes_nearer(mark: Mark, road: Road, clock: Clock) -> None:
    for left in range(1_000, 0, -10):
        road.left = left
        wait(mark, clock, 1.0)
    assert road.asked == 0
    assert mark.trouble is None


def test_an_open_transaction_is_waited_for_without_end_and_named(mark: Mark, road: Road, clock: Clock) -> None:
    road.in_the_way = {TopicPartition("tie.file.detections", 2): 41}
    wait(mark, clock, 600.0)
    assert mark.trouble is not None
    assert mark.trouble.code == "open_transaction"
    assert mark.trouble.error_class is ErrorClass.TRANSIENT
    assert "tie.file.detections-2 from offset 41" in mark.trouble.detail
    assert road.asked < 700, "asked at most once a second"


def test_what_an_open_transaction_held_back_gets_its_time_once_it_has_ended(
    mark: Mark, road: Road, clock: Clock
) -> None:
    road.in_the_way = {TopicPartition("x", 0): 1}
    wait(mark, clock, 60.0)
    road.in_the_way = {}
    wait(mark, clock, 10.0)
    assert mark.trouble is None
    road.left = 0
    assert mark.reached()


def test_a_reading_that_stands_still_although_nothing_holds_it_back_ends_the_process(mark: Mark, clock: Clock) -> None:
    wait(mark, clock, 14.0)
    with pytest.raises(PublisherError) as raised:
        wait(mark, clock, 3.0)
    assert raised.value.verdict.code == "stuck"
    assert raised.value.verdict.error_class is ErrorClass.TRANSIENT


def test_the_next_mark_has_its_own_time(mark: Mark, road: Road, clock: Clock) -> None:
    road.in_the_way = {TopicPartition("x", 0): 1}
    wait(mark, clock, 30.0)
    road.left, road.in_the_way = 0, {}
    assert mark.reached()
    clock.now += 3_600.0
    road.left = 10
    mark.begin()
    wait(mark, clock, 2.0)
    assert mark.trouble is None


def test_a_reading_that_moves_is_not_stuck_although_each_new_mark_is_as_far_away(
    mark: Mark, road: Road, clock: Clock
) -> None:
    for _ in range(60):
        road.read, road.end = road.end, road.end + 1
        mark.begin()
        wait(mark, clock, 1.0)
    assert road.asked == 0


@pytest.mark.parametrize("growth", [0, 3])
def test_new_marks_do_not_hide_a_reading_that_stands_still(growth: int, mark: Mark, road: Road, clock: Clock) -> None:
    def look() -> None:
        for _ in range(17):
            road.end += growth
            mark.begin()
            wait(mark, clock, 1.0)

    with pytest.raises(PublisherError, match="no progress"):
        look()
