"""Members of a group hear of each other: what is kept of it, what counts as a gap, and what hostile names can do."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeForwarder
from tests.harness.clock import Clock
from tests.harness.fake_fabric import FakeFabric
from tests.harness.forwarder import Forwarder
from tests.harness.load import FabricPublisher
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.events.message import GROUP_TOPIC_PREFIX
from tie_forwarder.group.commands import NO_GAP, Gap
from tie_forwarder.publisher.parent import Grants
from tie_forwarder.supervisor.peers import FILE_NAME, RECENT_SECONDS, Peers


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wall() -> Clock:
    clock = Clock()
    clock.now = 1_800_000_000.0
    return clock


MakePeers = Callable[[], Peers]


@pytest.fixture
def make_peers(tmp_path: Path, clock: Clock, wall: Clock) -> MakePeers:
    """What a start of the main process makes."""

    def make() -> Peers:
        peers = Peers(directory=tmp_path, own="me", monotonic=clock, now=wall)
        peers.load()
        return peers

    return make


def pass_time(seconds: float, *clocks: Clock) -> None:
    for clock in clocks:
        clock.now += seconds


class TestGaps:
    def test_a_lone_member_has_no_gap_whatever_it_receives(self, make_peers: MakePeers) -> None:
        peers = make_peers()
        peers.hear(["me"])
        assert peers.look(hears=False) == NO_GAP

    def test_silence_is_a_gap_where_another_member_was_heard(self, make_peers: MakePeers) -> None:
        peers = make_peers()
        peers.hear(["other"])
        assert [peers.look(hears=hears) for hears in (True, False, False, True)] == [
            NO_GAP, Gap(1, is_open=True), Gap(1, is_open=True), Gap(1),
        ]  # fmt: skip

    def test_a_start_after_another_member_was_heard_is_a_gap(
        self, make_peers: MakePeers, clock: Clock, wall: Clock
    ) -> None:
        before = make_peers()
        before.hear(["other"])
        before.save()
        pass_time(RECENT_SECONDS - 1, clock, wall)
        assert make_peers().gap == Gap(1, is_open=True)
        pass_time(2, clock, wall)
        assert make_peers().gap == NO_GAP

    @pytest.mark.parametrize("step", [-3600.0, 3600.0])
    def test_a_clock_that_was_set_makes_it_a_lone_member_and_nothing_else(
        self, step: float, make_peers: MakePeers, wall: Clock
    ) -> None:
        before = make_peers()
        before.hear(["other"])
        before.save()
        wall.now += step
        peers = make_peers()
        assert peers.gap == NO_GAP
        peers.hear(["other"])
        assert peers.look(hears=False) == Gap(1, is_open=True)

    def test_a_receiver_that_is_stopped_with_the_rest_is_no_gap(self, make_peers: MakePeers) -> None:
        peers = make_peers()
        peers.hear(["other"])
        peers.leave()
        assert peers.look(hears=False) == NO_GAP


def make_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text('{"other": 1800000000}')
    path.symlink_to(target)


class TestFile:
    def test_only_this_user_may_read_it(self, make_peers: MakePeers, tmp_path: Path) -> None:
        peers = make_peers()
        peers.hear(["other"])
        peers.save()
        assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
        assert json.loads((tmp_path / FILE_NAME).read_text()) == {"other": 1_800_000_000.0}

    def test_it_is_written_once_a_minute_while_nobody_new_is_heard(
        self, make_peers: MakePeers, tmp_path: Path, clock: Clock, wall: Clock
    ) -> None:
        peers, written = make_peers(), set()
        for second in range(600):
            peers.hear(["other"] if second < 300 else ["other", "third"])
            peers.save()
            written.add((tmp_path / FILE_NAME).stat().st_ino)
            os.link(tmp_path / FILE_NAME, tmp_path / f"{second}")  # so that no number is used again
            pass_time(1.0, clock, wall)
        assert len(written) in range(10, 13)

    def test_it_is_not_written_more_often_however_many_new_names_are_heard(
        self, make_peers: MakePeers, tmp_path: Path, clock: Clock
    ) -> None:
        peers, written = make_peers(), set()
        for turn in range(300):
            peers.hear([f"forged-{turn}"])
            peers.save()
            written.add((tmp_path / FILE_NAME).read_text())
            clock.now += 0.2
        assert len(written) <= 60 / 5 + 1
        assert len(peers.heard_at) == 20

    @pytest.mark.parametrize(
        "make",
        [
            make_link,
            os.mkfifo,
            Path.mkdir,
            *(
                lambda path, content=content: path.write_bytes(content)
                for content in (
                    b"", b"{", b"[]", b"\xff", b"[" * 16_000, b'{"other": "now"}', b'{"other": null}',
                    b'{"other": NaN}', b'{"other": 1e999}', b'{"other": ' + b"9" * 5_000 + b"}",
                    b'{"me": 1800000000}', b'{"a\\nb": 1800000000}', b'{"": 1800000000}',
                    b'{"' + b"x" * 201 + b'": 1800000000}',
                )
            ),
        ],
    )  # fmt: skip
    def test_whatever_stands_in_its_place_counts_as_nobody_and_is_not_followed(
        self, make: Callable[[Path], Any], make_peers: MakePeers, tmp_path: Path
    ) -> None:
        make(tmp_path / FILE_NAME)
        peers = make_peers()
        assert (peers.gap, peers.heard_at) == (NO_GAP, {})
        peers.hear(["other"])
        peers.save()
        if not (tmp_path / FILE_NAME).is_dir():
            assert make_peers().gap == Gap(1, is_open=True)
        target = tmp_path / "target"
        assert not target.exists() or target.read_text() == '{"other": 1800000000}'

    def test_a_link_in_the_place_of_the_new_file_is_replaced_and_not_followed(
        self, make_peers: MakePeers, tmp_path: Path
    ) -> None:
        (tmp_path / "target").write_text("untouched")
        (tmp_path / f"{FILE_NAME}.new").symlink_to(tmp_path / "target")
        peers = make_peers()
        peers.hear(["other"])
        peers.save()
        assert (tmp_path / "target").read_text() == "untouched"
        assert make_peers().gap == Gap(1, is_open=True)

    def test_a_directory_that_takes_nothing_is_no_fault(self, tmp_path: Path, clock: Clock, wall: Clock) -> None:
        peers = Peers(directory=tmp_path / "missing", own="me", monotonic=clock, now=wall)
        peers.load()
        peers.hear(["other"])
        peers.save()
        assert peers.look(hears=False) == Gap(1, is_open=True)


def test_nothing_that_is_granted_after_a_gap_is_read_before_the_gap_is_dealt_with() -> None:
    grants = Grants()
    grants.raise_to(5)
    assert grants.wait_beyond(0, timeout_seconds=0.0, gap=0)
    grants.note_gap(Gap(1, is_open=True))
    grants.raise_to(6)
    assert not grants.wait_beyond(0, timeout_seconds=0.0, gap=0)
    assert grants.wait_beyond(0, timeout_seconds=0.0, gap=1)


class NoKafka:
    """An address at which nobody listens."""

    bootstrap_servers = ("127.0.0.1:9",)


def make_alone(make_forwarder: MakeForwarder, fabric: FakeFabric | Mosquitto, **sections: Any) -> Forwarder:
    return make_forwarder(
        fabric=fabric, kafka=NoKafka(), topics=Topics.unique(), group="group", options=sections  # type: ignore[arg-type]
    )  # fmt: skip


def heard(forwarder: Forwarder) -> list[str]:
    return [each["name"] for each in forwarder.status()["group"]["members"] if each["heard"] is not None]


HOSTILE = (
    b"", b"forwarder", b"\xff\xfe", b"a b", b"a\nb", b"a\x1b[31m", "a\u202eb".encode(), b"a/b", b"{}", b"[" * 4_000,
    b"x" * 201, b"y" * 900_000,
)  # fmt: skip


def test_hostile_names_are_not_taken_and_real_ones_are_bounded(
    mosquitto: Mosquitto, make_forwarder: MakeForwarder
) -> None:
    forwarder = make_alone(make_forwarder, mosquitto)
    forwarder.start()
    topic = GROUP_TOPIC_PREFIX + "group"
    with FabricPublisher(fabric=mosquitto, name="stranger") as stranger:
        stranger.publish([*HOSTILE, b"last"], topic=topic)
        forwarder.wait_until(lambda f: "last" in heard(f), timeout=30.0, what="a name heard")
        assert heard(forwarder) == ["last"]
        stranger.publish([b"forged-%d" % number for number in range(5_000)], topic=topic)
        forwarder.wait_until(lambda f: "forged-4999" in heard(f), timeout=30.0, what="the last name heard")
    assert len(heard(forwarder)) <= 20
    status = forwarder.status()
    assert status["receiver"]["last_restart"] is None
    assert status["ledger"]["received"] == 0


def test_two_members_hear_each_other_and_an_at_least_once_forwarder_neither_speaks_nor_listens(
    mosquitto: Mosquitto, make_forwarder: MakeForwarder
) -> None:
    names = ("one", "two", "lone")
    one, two, lone = (
        make_forwarder(
            fabric=mosquitto,
            kafka=NoKafka(),  # type: ignore[arg-type]
            topics=Topics.unique(),
            name=name,
            group="group",
            options={"kafka": {"delivery": "at_least_once" if name == "lone" else "exactly_once"}},
        )
        for name in names
    )
    for member in (lone, one, two):
        member.start()
    one.wait_until(lambda f: heard(f) == ["two"], timeout=30.0, what="two heard")
    two.wait_until(lambda f: heard(f) == ["one"], timeout=30.0, what="one heard")
    assert heard(lone) == []


@pytest.mark.parametrize("restrict", ["deaf_topics", "refused_topics"])
def test_a_restricted_topic_is_no_error_and_nobody_is_heard(
    restrict: str, fake_fabric: FakeFabric, make_forwarder: MakeForwarder
) -> None:
    topic = GROUP_TOPIC_PREFIX + "group"
    getattr(fake_fabric, restrict).add(topic)
    delivered: list[str] = []
    deliver = fake_fabric.deliver

    def watch(topic: str, body: bytes) -> None:
        delivered.append(topic)
        deliver(topic, body)

    fake_fabric.deliver = watch  # type: ignore[method-assign]
    forwarder = make_alone(make_forwarder, fake_fabric)
    forwarder.start()
    wait_until(lambda: delivered.count(topic) >= 2, timeout=30.0, what="two events of presence sent")
    status = forwarder.status()
    assert (status["receiver"]["ready"], status["receiver"]["last_restart"]) == (True, None)
    assert heard(forwarder) == []
    assert [problem["reason"] for problem in status["problems"] if problem["state"] == "degraded"] == []
