"""The parts of the receiver alone: its queue, callbacks, canary and unpacker."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import dxlclient.message as dxl
import dxltieclient
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.payloads import message
from tests.harness.clock import Clock
from tie_forwarder.events.message import TOPICS
from tie_forwarder.receiver.callback import (
    RawDetectionCallback,
    RawFirstInstanceCallback,
    RawReputationChangeCallback,
    add_callbacks,
    raw_message,
)
from tie_forwarder.receiver.canary import Canary
from tie_forwarder.receiver.queue import MessageQueue
from tie_forwarder.receiver.speedups import install_compiled_unpacker

ROOMY = 1 << 30


def took(queue: MessageQueue, *, most_messages: int = 1000, most_bytes: int = ROOMY) -> list[bytes]:
    batch = queue.take(most_messages=most_messages, most_bytes=most_bytes, timeout_seconds=0.0)
    return [taken.payload for taken in batch]


class TestQueue:
    def test_holds_no_more_messages_than_it_may_and_counts_what_it_drops(self) -> None:
        queue = MessageQueue(most_messages=3, most_bytes=ROOMY)
        for number in range(5):
            queue.put(message(b"%d" % number))
        assert (queue.received, queue.dropped, queue.depth) == (5, 2, 3)
        assert took(queue) == [b"0", b"1", b"2"]
        queue.put(message(b"5"))
        assert took(queue) == [b"5"]
        assert queue.dropped == 2

    def test_holds_no_more_bytes_than_it_may_and_has_room_again_once_they_are_taken(self) -> None:
        queue = MessageQueue(most_messages=1000, most_bytes=10_000)
        for _ in range(10):
            queue.put(message(b"x" * 4_000))
        assert (queue.depth, queue.dropped) == (2, 8)
        queue.put(message(b"small"))
        assert queue.depth == 3
        assert took(queue, most_messages=1) == [b"x" * 4_000]
        queue.put(message(b"y" * 4_000))
        assert took(queue) == [b"x" * 4_000, b"small", b"y" * 4_000]

    @pytest.mark.parametrize("text", ["message_id", "source_client_id", "source_broker_id"])
    def test_counts_the_bytes_of_texts_which_a_publisher_may_make_as_long_as_it_likes(self, text: str) -> None:
        queue = MessageQueue(most_messages=1000, most_bytes=10_000)
        for _ in range(10):
            queue.put(message(b"", **{text: "x" * 4_000}))
        assert queue.depth == 2

    def test_drops_a_message_that_is_larger_than_all_its_room(self) -> None:
        queue = MessageQueue(most_messages=10, most_bytes=1_000)
        queue.put(message(b"x" * 1_000))
        queue.put(message(b"x"))
        assert took(queue) == [b"x"]
        assert queue.dropped == 1

    def test_a_batch_is_bounded_by_count_and_by_bytes_but_never_empty(self) -> None:
        queue = MessageQueue(most_messages=100, most_bytes=ROOMY)
        for _ in range(10):
            queue.put(message(b"x" * 1_000))
        assert len(took(queue, most_messages=3)) == 3
        assert len(took(queue, most_bytes=2_500)) == 2
        assert len(took(queue, most_bytes=1)) == 1
        assert len(took(queue)) == 4
        assert took(queue) == []

    def test_loses_and_reorders_nothing_between_two_threads(self) -> None:
        queue = MessageQueue(most_messages=100, most_bytes=100_000)
        ended = threading.Event()
        taken: list[int] = []

        def take() -> None:
            while not ended.is_set() or queue.depth:
                batch = queue.take(most_messages=7, most_bytes=5_000, timeout_seconds=0.01)
                taken.extend(int(each.payload) for each in batch)

        taker = threading.Thread(target=take)
        taker.start()
        for number in range(20_000):
            queue.put(message(b"%d" % number))
        ended.set()
        taker.join()
        assert len(taken) == queue.received - queue.dropped
        assert taken == sorted(set(taken))


class Subscriptions:
    """Stands where a DXL client stands, and takes the subscriptions."""

    def __init__(self) -> None:
        self.by_topic: dict[str, Any] = {}

    def add_event_callback(self, topic: str, callback: Any) -> None:
        self.by_topic[topic] = callback


class TestCallbacks:
    @pytest.mark.parametrize(
        ("kind", "ours", "theirs"),
        [
            ("detection", RawDetectionCallback, dxltieclient.DetectionCallback),
            ("first_instance", RawFirstInstanceCallback, dxltieclient.FirstInstanceCallback),
            ("file_reputation_change", RawReputationChangeCallback, dxltieclient.ReputationChangeCallback),
            ("certificate_reputation_change", RawReputationChangeCallback, dxltieclient.ReputationChangeCallback),
        ],
    )
    def test_each_kind_has_the_callback_of_dxltieclient_on_its_topic(self, kind: str, ours: Any, theirs: Any) -> None:
        client, taken = Subscriptions(), list[Any]()
        add_callbacks(client, [kind], taken.append)
        topic = TOPICS[kind]
        assert list(client.by_topic) == [topic]
        callback: Any = client.by_topic[topic]
        assert type(callback) is ours
        assert issubclass(ours, theirs)
        event = dxl.Event(topic)
        event.payload = b"\xff is no JSON"
        callback.on_event(event)
        assert (taken[0].topic, taken[0].payload) == (topic, b"\xff is no JSON")

    def test_several_kinds_are_subscribed_side_by_side(self) -> None:
        client = Subscriptions()
        add_callbacks(client, list(TOPICS), lambda message: None)
        assert list(client.by_topic) == list(TOPICS.values())


class TestRawMessage:
    def test_takes_every_part_as_it_came_and_the_time_of_receipt(self) -> None:
        taken: list[Any] = []
        event = dxl.Event("/topic")
        event.payload = b"\xff\0"
        event._source_client_id, event._source_broker_id = "{client}", "{broker}"
        RawDetectionCallback(taken.append).on_event(event)
        assert taken[0][:5] == (event.message_id, "/topic", "{client}", "{broker}", b"\xff\0")
        assert abs(taken[0].received_at_ms / 1000 - time.time()) < 10

    def test_ids_that_are_nil_are_empty(self) -> None:
        event = dxl.Event("/topic")
        event._message_id = event._source_client_id = event._source_broker_id = None
        taken = raw_message(event)
        assert (taken.message_id, taken.source_client_id, taken.source_broker_id) == ("", "", "")

    @pytest.mark.parametrize(
        ("payload", "text"),
        [(None, b"None"), (7, b"7"), ({b"a": [1.5]}, b"{b'a': [1.5]}"), ("\xe9", "\xe9".encode()), ("\ud800", b"?")],
    )
    def test_a_payload_that_is_not_bytes_is_taken_as_text(self, payload: object, text: bytes) -> None:
        event = dxl.Event("/topic")
        event.payload = payload
        assert raw_message(event).payload == text

    def test_a_payload_that_is_nested_too_deep_to_be_shown_does_not_raise(self) -> None:
        event = dxl.Event("/topic")
        event.payload = None
        for _ in range(50_000):
            event.payload = [event.payload]
        assert b"nested too deep" in raw_message(event).payload
        while event.payload:
            event.payload = event.payload.pop()


class TestCanary:
    def test_its_round_trip_is_measured_and_a_stranger_is_none_of_it(self) -> None:
        clock, flown, returns = Clock(), list[Any](), list[int]()
        canary = Canary(send=flown.append, on_return=lambda: returns.append(1), monotonic=clock)
        assert canary.answered_seconds_ago() is None
        canary.fly()
        for payload in (b"stranger", None, [1]):
            stranger = dxl.Event(canary.topic)
            stranger.payload = payload
            canary.on_event(stranger)
        assert canary.answered_seconds_ago() is None
        clock.now += 0.25
        canary.on_event(flown[0])
        clock.now += 2.0
        assert canary.answered_seconds_ago() == 2.0
        assert canary.take_round_trips() == [0.25]
        assert canary.take_round_trips() == []

    def test_canaries_that_never_come_back_take_no_more_and_more_memory(self) -> None:
        canary = Canary(send=lambda event: None, on_return=lambda: None)
        for _ in range(1_000):
            canary.fly()
        assert len(canary._sent) <= 101

    def test_it_counts_as_sent_for_a_broker_that_disconnects_before_the_call_returns(self) -> None:
        seen = list[int]()
        canary = Canary(send=lambda event: seen.append(canary.sent), on_return=lambda: None)
        canary.fly()
        assert seen == [1]


@pytest.fixture
def compiled() -> Iterator[tuple[Any, Any]]:
    """The pure and the compiled Unpacker; dxlclient has the pure one again afterwards."""
    pure = dxl.msgpack.Unpacker
    try:
        assert install_compiled_unpacker()
        yield pure, dxl.msgpack.Unpacker
    finally:
        dxl.msgpack.Unpacker = pure


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
MSGPACK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    event = dxl.Event(draw(TEXT))
    event._version = draw(st.integers(0, 2))
    event._message_id, event._source_client_id, event._source_broker_id = (
        draw(TEXT | st.none()), draw(TEXT | st.none()), draw(TEXT | st.none()),
    )  # fmt: skip
    event.payload = draw(st.binary(max_size=70_000) | MSGPACK)
    event.broker_ids, event.client_ids = draw(st.lists(TEXT, max_size=3)), draw(st.lists(TEXT, max_size=3))
    event.other_fields = draw(st.dictionaries(TEXT.filter(bool), TEXT, max_size=3))
    event.source_tenant_guid = draw(TEXT)
    event.destination_tenant_guids = draw(st.lists(TEXT, max_size=3))
    encoded: bytes = event._to_bytes()
    return encoded


class TestUnpacker:
    @pytest.mark.parametrize("part", range(4))
    def test_reads_every_event_as_the_pure_one_does(self, part: int, compiled: tuple[Any, Any]) -> None:
        @settings(max_examples=60, deadline=None)
        @given(events())
        def same(encoded: bytes) -> None:
            found = []
            for dxl.msgpack.Unpacker in compiled:
                found.append(vars(dxl.Message._from_bytes(encoded)))
            assert found[0] == found[1]

        same()

    def test_a_damaged_event_makes_it_raise_what_dxlclient_survives(self, compiled: tuple[Any, Any]) -> None:
        @settings(max_examples=200, deadline=None)
        @given(events(), st.data())
        def lives(encoded: bytes, data: Any) -> None:
            start = data.draw(st.integers(0, len(encoded)))
            damaged = (
                encoded[:start] + data.draw(st.binary(max_size=6)) + encoded[start + data.draw(st.integers(0, 6)) :]
            )
            with contextlib.suppress(Exception):
                vars(dxl.Message._from_bytes(damaged))

        dxl.msgpack.Unpacker = compiled[1]
        lives()

    def test_a_few_hostile_bytes_cannot_make_it_reserve_memory(self, compiled: tuple[Any, Any]) -> None:
        head = b"\x02\x02\xa0\xa0\xa0\x90\x90"
        for bomb in (b"\xdd\x06\0\0\0" * 100, b"\xdf\x06\0\0\0" * 100):
            with pytest.raises(ValueError, match="exceeds"):
                dxl.Message._from_bytes(head + bomb)
