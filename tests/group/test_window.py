"""The window remembers what Kafka has for as long as it says, whatever the ids look like."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.clock import Clock
from tie_forwarder.group.window import Arrival, Window


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def window(clock: Clock) -> Window:
    return Window(seconds=600.0, monotonic=clock)


ID = uuid.uuid4().bytes


def test_an_event_that_was_never_seen_is_new(window: Window) -> None:
    window.remember([uuid.uuid4().bytes], arrived=True)
    assert window.arrive(ID) is Arrival.NEW


def test_an_event_that_another_member_published_is_settled_once_and_then_a_duplicate(window: Window) -> None:
    window.remember([ID], arrived=False)
    assert window.arrive(ID) is Arrival.SETTLED
    assert window.arrive(ID) is Arrival.DUPLICATE


def test_an_event_that_was_published_here_is_a_duplicate(window: Window) -> None:
    window.remember([ID], arrived=True)
    assert window.arrive(ID) is Arrival.DUPLICATE


def test_that_it_has_arrived_is_not_forgotten_when_it_is_also_seen_in_the_output(window: Window) -> None:
    window.remember([ID], arrived=True)
    window.remember([ID], arrived=False)
    assert window.arrive(ID) is Arrival.DUPLICATE
    assert len(window) == 1


def test_an_id_is_kept_for_its_time_and_a_tenth_longer_at_most(window: Window, clock: Clock) -> None:
    window.remember([ID], arrived=True)
    clock.now += 599.0
    window.remember([], arrived=True)
    assert window.arrive(ID) is Arrival.DUPLICATE
    clock.now += 62.0
    window.remember([], arrived=True)
    assert window.arrive(ID) is Arrival.NEW
    assert len(window) == 0


def test_an_id_that_is_remembered_again_is_kept_from_then_on(window: Window, clock: Clock) -> None:
    window.remember([ID], arrived=False)
    clock.now += 500.0
    window.remember([ID], arrived=False)
    clock.now += 500.0
    window.remember([], arrived=False)
    assert window.arrive(ID) is Arrival.SETTLED


def test_a_long_silence_empties_it(window: Window, clock: Clock) -> None:
    window.remember([uuid.uuid4().bytes for _ in range(1_000)], arrived=True)
    clock.now += 1e6
    window.remember([ID], arrived=False)
    assert len(window) == 1
    assert window.arrive(ID) is Arrival.SETTLED


# Two letters only, so that an id is often found across the border of two others.
TWISTED = st.text("ab", min_size=16, max_size=16).map(str.encode)


@given(st.lists(st.tuples(TWISTED | st.binary(min_size=16, max_size=16), st.booleans()), max_size=40))
def test_within_its_time_it_agrees_with_a_plain_dictionary(steps: list[tuple[bytes, bool]]) -> None:
    clock = Clock()
    window = Window(seconds=600.0, monotonic=clock)
    noted: dict[bytes, bool] = {}
    for event_id, arrived in steps:
        clock.now += 14.0
        window.remember([event_id], arrived=arrived)
        noted[event_id] = arrived or noted.get(event_id, False)
    assert len(window) == len(noted)
    for event_id, arrived in noted.items():
        assert window.arrive(event_id) is (Arrival.DUPLICATE if arrived else Arrival.SETTLED)


def test_a_hundred_thousand_ids_of_any_pattern_lie_evenly_and_are_all_found(window: Window) -> None:
    counted = [bytes(10) + number.to_bytes(6, "big") for number in range(50_000)]
    counted += [number.to_bytes(6, "little") + bytes(10) for number in range(1, 50_000)]
    window.remember(counted, arrived=False)
    assert len(window) == len(counted)
    assert max(map(len, window._shelves.values())) < 18 * 120
    assert all(window.arrive(event_id) is Arrival.SETTLED for event_id in counted)
