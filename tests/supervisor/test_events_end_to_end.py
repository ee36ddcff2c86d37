"""All four events from the fabric to Kafka, each to its own topic, through real processes and servers."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from itertools import islice
from typing import Any

import pytest

from tests.conftest import MakeForwarder, MakePublisher
from tests.data.changes import hostile_cases
from tests.data.payloads import SAMPLES, as_dxltieclient
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import FabricPublisher
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.cli import invoke
from tie_forwarder.demo.events import Synthetic, events
from tie_forwarder.events.message import TOPICS

ALL = list(TOPICS)
HOSTILE = [Synthetic(case.kind, case.payload) for case, _ in hostile_cases().values()]
EACH = 150


class Sent:
    """What was published, by event id."""

    def __init__(self) -> None:
        self.by_id: dict[str, Synthetic] = {}

    def publish(self, publisher: FabricPublisher, made: list[Synthetic]) -> None:
        """Publishes in the order given, kind by kind in turns, so that the kinds mix."""
        for event in made:
            event_id = str(uuid.uuid4())
            self.by_id[event_id] = event
            publisher.publish([event.payload], message_ids=[f"{{{event_id}}}"], topic=TOPICS[event.kind])


def settled(forwarder: Forwarder, count: int) -> None:
    forwarder.wait_until(
        lambda f: f.ledger()["received"] == count and f.ledger()["in_spool"] == 0, timeout=60.0, what=f"{count} settled"
    )
    assert forwarder.ledger()["imbalance"] == 0


def test_each_event_stands_once_in_the_topic_of_its_kind_with_two_members(
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    judge: Judge,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
    capsys: pytest.CaptureFixture[str],
) -> None:
    members = [
        make_forwarder(
            fabric=mosquitto,
            kafka=kafka,
            topics=topics,
            name=name,
            group=topics.detection,
            # A busy machine must not make a member believe that it misses events, and leave its seat.
            options={"dxl": {"events": ALL, "canary_interval_seconds": 12, "canary_timeout_seconds": 15}},
        )
        for name in ("a", "b")
    ]
    for member in members:
        member.start()
    sent = Sent()
    sent.publish(make_publisher(mosquitto), [*islice(events(ALL, seed=1), len(ALL) * EACH), *HOSTILE])
    for member in members:
        settled(member, len(sent.by_id))
    assert_each_in_its_topic(judge, topics, sent)
    ledgers = [member.ledger() for member in members]
    assert sum(ledger["published"] for ledger in ledgers) == len(sent.by_id)
    assert sum(ledger["settled"] for ledger in ledgers) == len(sent.by_id)
    assert_counted(members, topics)
    config = str(members[0].config_file)
    assert invoke(["check", "--connect", "--config", config]) == 0
    shown = capsys.readouterr().out
    assert [
        topic
        for topic in topics.configuration().values()
        if f"ok         topic.exists            {topic}: " not in shown
    ] == []
    records = len(ALL) * EACH
    assert invoke(["tail", "--kafka", "--config", config, "--from-beginning", "--count", str(records)]) == 0
    shown = capsys.readouterr().out
    assert {kind: shown.count(f"{getattr(topics, kind)}[") for kind in ALL} == dict.fromkeys(ALL, EACH)


def assert_each_in_its_topic(judge: Judge, topics: Topics, sent: Sent) -> None:
    """Every event that was sent stands once, where it belongs, and says what dxltieclient would have delivered."""
    letters = list(judge.read(topics.dead_letter))
    found = Counter(letter.event_id for letter in letters)
    for kind in ALL:
        for record in judge.read(getattr(topics, kind)):
            event = sent.by_id[record.event_id]
            assert event.kind == kind
            assert record.headers["ce_dxltopic"] == TOPICS[kind]
            assert json.loads(record.value) == json.loads(json.dumps(as_dxltieclient(event.payload, kind)))
            found[record.event_id] += 1
    assert found == dict.fromkeys(sent.by_id, 1)
    assert Counter(letter.value for letter in letters) == Counter(event.payload for event in HOSTILE)


def assert_counted(members: list[Forwarder], topics: Topics) -> None:
    """The metrics tell the kinds apart."""
    hostile = Counter(event.kind for event in HOSTILE)
    for member in members:
        metrics = member.metrics()
        for kind in ALL:
            assert metrics[f'tie_forwarder_events_received_total{{kind="{kind}"}}'] == EACH + hostile[kind]
        assert metrics['tie_forwarder_events_received_total{kind="unknown"}'] == 0
        # Of detections alone the delay is told.
        counted = sum(one.metrics()["tie_forwarder_detection_delay_seconds_count"] for one in members)
        assert counted == EACH
    for kind in ALL:
        name = f'tie_forwarder_events_published_total{{topic="{getattr(topics, kind)}"}}'
        assert sum(member.metrics()[name] for member in members) == EACH


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_what_the_spool_holds_of_a_kind_that_is_no_longer_forwarded_is_published_all_the_same(
    delivery: str,
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    judge: Judge,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    options: dict[str, dict[str, Any]] = {
        "dxl": {"events": ["first_instance", "detection"]},
        "kafka": {"delivery": delivery, "bootstrap_servers": ["127.0.0.1:1"]},
    }
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, options=options)
    forwarder.start()
    publisher = make_publisher(mosquitto)
    for kind in ("detection", "first_instance", "detection"):
        publisher.publish([SAMPLES[kind]], topic=TOPICS[kind])
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 3, timeout=20.0, what="three events in the spool")
    forwarder.stop()
    forwarder.config["dxl"]["events"] = ["detection"]
    forwarder.config["kafka"]["bootstrap_servers"] = kafka.bootstrap_servers
    forwarder.start()
    forwarder.wait_until(lambda f: f.ledger()["published"] == 3, timeout=60.0, what="three events published")
    assert forwarder.ledger()["imbalance"] == 0
    assert len(list(judge.read(topics.detection))) == 2
    assert len(list(judge.read(topics.first_instance))) == 1
    assert forwarder.log().count("publisher.unlisted") == 1
