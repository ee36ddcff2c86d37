"""A replay beside a running group: no member takes it for a sign of life, for its rival, or for its own events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import MakeForwarder
from tests.groups.stage import Stage
from tests.harness.detections import detection
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.letters import Site, event_id, letter
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.kafka.tail import _ours
from tie_forwarder.records.dead_letter import render_marker, render_replayed
from tie_forwarder.records.record import Record
from tie_forwarder.spool import Changes, Incoming, Spool

RATE = 100.0
LETTERS = range(900_000, 900_400)


@pytest.fixture
def stage(kafka: KafkaCluster, authority: Authority, tmp_path: Path) -> Iterator[Stage]:
    """Two members, none of them started."""
    with Stage(directory=tmp_path, authority=authority, kafka=kafka, rate=RATE) as stage:
        yield stage


def as_read(record: Record, *more: tuple[str, bytes]) -> Any:
    """A record as kafka-python hands it over."""
    return SimpleNamespace(headers=[*record.headers, *more], timestamp=record.received_at_ms)


def test_the_tail_passes_over_what_a_replay_has_written() -> None:
    event = Record("detection", event_id(1), None, b"{}", (("ce_id", event_id(1).encode()),), 1)
    replayed = render_replayed(event, replayed_at_ms=2_000)
    marker = render_marker(event_id(1), topic="t", replayed_at_ms=2_000)
    assert not list(_ours([as_read(replayed), as_read(marker)]))
    (found,) = _ours([as_read(letter(1, b"x"), ("ce_forwarder", b"a"))])
    assert found.seen.forwarder == "a"
    assert found.event_id.hex() == event_id(1).replace("-", "")


def test_a_group_under_load_goes_on_as_if_there_were_no_replay(stage: Stage, tmp_path: Path) -> None:
    site = Site(directory=tmp_path / "replay", kafka=stage.kafka, topics=stage.topics)
    site.config["group"]["name"] = stage.members["a"].config["group"]["name"]
    site.write([letter(number, detection(number, agent=1)) for number in LETTERS])
    stage.start()
    stage.load.start()
    stage.wait_until_well()
    roles = {name: member.status()["group"] for name, member in stage.members.items()}
    settled = stage.members["b"].ledger()
    assert site.run("replay") == 0
    stage.wait_for_progress()
    assert site.run("replay") == 0
    stage.wait_for_progress()
    for name, before in roles.items():
        now = stage.members[name].status()["group"]
        assert {key: now[key] for key in ("role", "since", "takeovers")} == {
            key: before[key] for key in ("role", "since", "takeovers")
        }
    assert stage.members["b"].ledger()["received"] > settled["received"]
    numbers = [*stage.load.finish(), *LETTERS]
    stage.settle()
    stage.judge().verdict(numbers).assert_exactly_once(in_order=False)
    assert not stage.follower.repeated
    assert len(site.markers()) == len(LETTERS)


def test_a_letter_in_a_spool_is_settled_by_the_letter_that_was_replayed(
    mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder, tmp_path: Path
) -> None:
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics, name="late")
    letters = [letter(number, detection(number, agent=1)) for number in range(5)]
    spool = Spool(directory=forwarder.spool_directory, max_bytes=1 << 30, drop_oldest=True)
    spool.open()
    assert spool.apply(Changes(incoming=[Incoming(each, None) for each in letters])).accepted == 5
    spool.close()
    site = Site(directory=tmp_path / "replay", kafka=kafka, topics=topics)
    site.write(letters)
    assert site.run("replay") == 0
    forwarder.start()
    forwarder.wait_until(lambda f: f.ledger()["settled"] == 5, timeout=20.0, what="five letters settled")
    forwarder.wait_until_drained(timeout=20.0)
    assert forwarder.ledger()["published"] == 0
    assert forwarder.ledger()["imbalance"] == 0
    assert site.run("replay") == 0
    site.judge.verdict(range(5)).assert_exactly_once(in_order=False)
    assert len(site.records(topics.dead_letter)) == 10, "five letters and five markers"
