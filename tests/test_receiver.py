"""The parts of the receiver alone, what judges it, and the road of hostile messages through it into Kafka."""

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

from tests.conftest import MakeForwarder, MakePublisher
from tests.data.payloads import hostile_payloads, message
from tests.harness import mqtt
from tests.harness.detections import DETECTION_TOPIC, detection, message_id
from tests.harness.fake_fabric import Behaviour, FakeFabric
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import EventEncoder
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.events.topics import TOPICS
from tie_forwarder.receiver.callback import (
    RawDetectionCallback,
    RawFirstInstanceCallback,
    RawReputationChangeCallback,
    add_callbacks,
    raw_message,
)
from tie_forwarder.receiver.canary import Canary
from tie_forwarder.receiver.queue import MessageQueue
from tie_forwarder.receiver.unpacker import install_compiled_unpacker
from tie_forwarder.supervisor.receiver_watch import ReceiverStatus, ReceiverWatch

ROOMY = 1 << 30
CANARY_TIMEOUT = 15.0
RESTARTS = "tie_forwarder_receiver_restarts_total"


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


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


def status(**changes: Any) -> dict[str, Any]:
    """A frame of a receiver that is well."""
    return {
        "phase": "receiving",
        "connected": True,
        "missing_subscriptions": [],
        "refused_subscription": "",
        "canary_answered_seconds_ago": 0.5,
        "received": 0,
        **changes,
    }


class TestWatch:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def watch(self, clock: Clock) -> ReceiverWatch:
        return ReceiverWatch(canary_timeout_seconds=CANARY_TIMEOUT, monotonic=clock)

    @staticmethod
    def tick(watch: ReceiverWatch, clock: Clock, seconds: int, **changes: Any) -> None:
        """A status each second for so long."""
        for second in range(seconds):
            clock.now += 1.0
            moving = {name: value(second) if callable(value) else value for name, value in changes.items()}
            watch.on_status(status(**moving))
            watch.on_listened()

    @staticmethod
    def listen(watch: ReceiverWatch, clock: Clock, seconds: float) -> None:
        """We listen for so long and nothing comes."""
        clock.now += seconds
        watch.on_listened()

    @staticmethod
    def reason(watch: ReceiverWatch) -> str:
        replacement = watch.reason_to_replace()
        return replacement.reason if replacement else ""

    def test_a_receiver_that_reports_and_sings_is_ready_and_stays(self, watch: ReceiverWatch, clock: Clock) -> None:
        assert (watch.ready, self.reason(watch)) == (False, "")
        self.tick(watch, clock, 100)
        assert (watch.ready, self.reason(watch)) == (True, "")

    def test_no_sign_of_life_after_the_start_is_noticed(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.listen(watch, clock, 15.0)
        assert self.reason(watch) == ""
        self.listen(watch, clock, 0.1)
        assert self.reason(watch) == "heartbeat_late"

    def test_a_heartbeat_that_ends_is_noticed(self, watch: ReceiverWatch, clock: Clock) -> None:
        watch.on_status(status())
        self.listen(watch, clock, 6.0)
        assert (watch.ready, self.reason(watch)) == (True, "")
        self.listen(watch, clock, 0.1)
        assert (watch.ready, self.reason(watch)) == (False, "heartbeat_late")

    def test_messages_are_a_heartbeat_too_since_a_status_waits_behind_them(
        self, watch: ReceiverWatch, clock: Clock
    ) -> None:
        watch.on_status(status())
        for _ in range(10):
            self.listen(watch, clock, 5.0)
            watch.on_messages()
        assert self.reason(watch) == ""
        self.listen(watch, clock, 6.1)
        assert self.reason(watch) == "heartbeat_late"

    def test_silence_does_not_count_while_nobody_listens(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 20)
        clock.now += 100.0
        assert self.reason(watch) == ""
        watch.on_listened()
        assert self.reason(watch) == "heartbeat_late"

    def test_waiting_for_a_broker_may_take_for_ever(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 1000, phase="waiting", connected=False, canary_answered_seconds_ago=None)
        assert (watch.ready, self.reason(watch)) == (False, "")

    def test_connecting_may_not(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 100, phase="waiting", canary_answered_seconds_ago=None)
        self.tick(watch, clock, 21, phase="connecting", canary_answered_seconds_ago=None)
        assert self.reason(watch) == ""
        self.tick(watch, clock, 1, phase="connecting", canary_answered_seconds_ago=None)
        assert self.reason(watch) == "canary_late"

    def test_a_first_canary_that_does_not_come_back_is_late(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 16, canary_answered_seconds_ago=None)
        assert (watch.ready, self.reason(watch)) == (False, "")
        self.tick(watch, clock, 1, canary_answered_seconds_ago=None)
        assert self.reason(watch) == "canary_late"

    def test_a_canary_that_stays_away_is_late(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 20)
        self.tick(watch, clock, 15, canary_answered_seconds_ago=lambda second: second + 1.0)
        assert (watch.ready, self.reason(watch)) == (True, "")
        self.tick(watch, clock, 1, canary_answered_seconds_ago=16.0)
        assert (watch.ready, self.reason(watch)) == (False, "canary_late")

    def test_messages_are_signs_of_life_while_canaries_queue_behind_them(
        self, watch: ReceiverWatch, clock: Clock
    ) -> None:
        self.tick(
            watch, clock, 100, canary_answered_seconds_ago=lambda second: second + 1.0, received=lambda second: second
        )
        assert (watch.ready, self.reason(watch)) == (True, "")
        self.tick(watch, clock, 15, canary_answered_seconds_ago=lambda second: 101.0 + second, received=99)
        assert (watch.ready, self.reason(watch)) == (True, "")
        self.tick(watch, clock, 1, canary_answered_seconds_ago=120.0, received=99)
        assert (watch.ready, self.reason(watch)) == (False, "canary_late")

    def test_a_subscription_that_is_missing_has_twelve_seconds(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 13, missing_subscriptions=["/a"])
        assert (watch.ready, self.reason(watch)) == (False, "")
        self.tick(watch, clock, 1, missing_subscriptions=["/a"])
        assert self.reason(watch) == "subscription"

    def test_a_subscription_that_is_refused_is_named_at_once(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 1, missing_subscriptions=["/a"], refused_subscription="/a")
        replacement = watch.reason_to_replace()
        assert replacement is not None
        assert replacement.reason == "subscription"
        assert "/a" in replacement.text

    def test_a_refusal_is_remembered_from_process_to_process_until_one_has_received(
        self, watch: ReceiverWatch, clock: Clock
    ) -> None:
        self.tick(watch, clock, 1, missing_subscriptions=["/a"], refused_subscription="/a")
        watch.started()
        self.tick(watch, clock, 1, phase="connecting", connected=False, canary_answered_seconds_ago=None)
        assert watch.refused_subscription == "/a"
        assert self.reason(watch) == ""
        self.tick(watch, clock, 1)
        assert watch.refused_subscription == ""

    def test_a_process_that_cannot_be_started_says_why(self, watch: ReceiverWatch) -> None:
        watch.cannot_start("no room for a process", "make room")
        assert not watch.ready
        assert watch.status.trouble == "no room for a process; make room"

    def test_a_receiver_that_says_it_is_not_connected_is_not_ready(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 1, connected=False)
        assert not watch.ready

    def test_a_new_process_begins_anew_with_the_trouble_of_the_last(self, watch: ReceiverWatch, clock: Clock) -> None:
        self.tick(watch, clock, 1, received=5, lost="the connection was lost (code 1)")
        clock.now += 60.0
        watch.started()
        assert (watch.ready, self.reason(watch)) == (False, "")
        assert watch.status == ReceiverStatus(trouble="the connection was lost (code 1)")

    def test_fields_that_this_version_does_not_know_are_left_out(self) -> None:
        assert ReceiverStatus.of({"phase": "waiting", "news": 1}) == ReceiverStatus(phase="waiting")


HOSTILE = {name: pair for name, pair in hostile_payloads().items() if len(pair[0]) < 500_000}
"""Those that a Kafka with its default limits takes whole."""


class TestRoad:
    """From the fabric to Kafka, through all processes."""

    @pytest.fixture
    def forwarder(
        self, mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder
    ) -> Forwarder:
        forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
        forwarder.start()
        return forwarder

    @staticmethod
    def settle(forwarder: Forwarder, count: int) -> None:
        """Waits until `count` messages are in Kafka; each of them by the first receiver."""
        forwarder.wait_until(lambda f: f.ledger()["published"] == count, timeout=25.0, what=f"{count} published")
        assert forwarder.ledger()["received"] == count
        assert forwarder.ledger()["imbalance"] == 0
        metrics = forwarder.metrics()
        restarts = {name: count for name, count in metrics.items() if name.startswith(RESTARTS)}
        assert sum(restarts.values()) == restarts[f'{RESTARTS}{{reason="start"}}'] == 1

    def test_every_hostile_payload_ends_as_a_dead_letter_with_its_bytes_and_its_neighbours_arrive(
        self, forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge, topics: Topics
    ) -> None:
        payloads, ids = [], []
        for number, (payload, _) in enumerate(HOSTILE.values()):
            payloads += [detection(2 * number, agent=0), payload]
            ids += [message_id(2 * number), message_id(2 * number + 1)]
        make_publisher(mosquitto).publish(payloads, message_ids=ids)
        self.settle(forwarder, len(payloads))
        judge.verdict(range(len(payloads))).assert_exactly_once(dead_letters=len(HOSTILE))
        letters = {letter.event_id: letter for letter in judge.read(topics.dead_letter)}
        for number, (name, (payload, reason)) in enumerate(HOSTILE.items()):
            letter = letters[message_id(2 * number + 1).strip("{}")]
            assert (letter.value, letter.headers["reason"]) == (payload, reason), name
            assert letter.headers["dxl_topic"] == DETECTION_TOPIC

    def test_an_unreadable_envelope_or_a_payload_of_another_type_is_a_dead_letter_too(
        self, forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher, judge: Judge, topics: Topics
    ) -> None:
        request = dxl.Request(DETECTION_TOPIC)
        request.payload = detection(0, agent=0)
        envelopes = [
            b"", b"\xc1garbage", b"\x02", b"\x02\x09", b"\x02\x02" + b"\x91" * 5_000, b"\xdd\xff\xff\xff\xff", b"{}",
            EventEncoder().message(detection(0, agent=0))[:-40], request._to_bytes(),
        ]  # fmt: skip
        texts = {b"None": None, b"17": 17, b"[1, b'a']": [1, b"a"], b"{b'name': 1.5}": {"name": 1.5}}
        packets = [mqtt.publish(DETECTION_TOPIC, envelope) for envelope in envelopes]
        for packed in (*map(dxl.msgpack.packb, texts.values()), b"\x91" * 1_010 + b"\0"):
            event = dxl.Event(DETECTION_TOPIC)
            event.payload = b"PAYLOAD"
            packets.append(mqtt.publish(DETECTION_TOPIC, event._to_bytes().replace(b"\xa7PAYLOAD", packed)))
        good = [EventEncoder().packet(detection(n, agent=0), message_id=message_id(n)) for n in range(len(packets))]
        make_publisher(mosquitto).send([each for pair in zip(good, packets, strict=True) for each in pair])
        self.settle(forwarder, 2 * len(packets))
        letters = list(judge.read(topics.dead_letter))
        deep = b"a list that is nested too deep to be shown"
        assert sorted(letter.value for letter in letters) == sorted([*envelopes, *texts, deep])
        assert all(
            letter.headers["reason"] in {"not_json", "not_utf8", "not_an_object", "no_hashes"} for letter in letters
        )
        assert sorted(r.event_id for r in judge.read(topics.detection)) == [
            message_id(n)[1:-1] for n in range(len(good))
        ]

    def test_deafness_is_noticed_within_30_seconds_with_the_times_that_users_have(
        self, fake_fabric: FakeFabric, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder,
        make_publisher: MakePublisher, judge: Judge,
    ) -> None:  # fmt: skip
        forwarder = make_forwarder(fabric=fake_fabric, kafka=kafka, topics=topics)
        forwarder.start()
        fake_fabric.behaviour = Behaviour.DEAF
        late = f'{RESTARTS}{{reason="canary_late"}}'
        forwarder.wait_until(lambda f: f.metrics()[late] == 1, timeout=30.0, what="the deafness noticed")
        fake_fabric.behaviour = Behaviour.NORMAL
        forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200, timeout=15.0, what="ready again")
        make_publisher(fake_fabric).publish_detections(range(50))
        forwarder.wait_until(lambda f: f.ledger()["published"] == 50, timeout=15.0)
        judge.verdict(range(50)).assert_exactly_once()
        assert forwarder.ledger()["imbalance"] == 0
