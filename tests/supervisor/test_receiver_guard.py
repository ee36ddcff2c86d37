"""The steps of make before break at the moments that real processes seldom meet."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.clock import Clock
from tie_forwarder.processes.child import Child
from tie_forwarder.supervisor.guard import Source
from tie_forwarder.supervisor.receiver_guard import ReceiverGuard
from tie_forwarder.supervisor.receiver_watch import Reception


class StubChild(Child):
    """A process that does nothing: the test says what it reports."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.configuration: dict[str, Any] = {}
        self.said: list[str] = []
        self.code: int | None = None

    @property
    def pid(self) -> int:
        return 1

    def start(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration

    def say(self, line: dict[str, Any]) -> bool:
        self.said.append(line["verb"])
        return True

    def exit_code(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.code = -9

    def close(self) -> None:
        pass


class Stage:
    """A guard, its children in the order of their starts, and their clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.children: list[StubChild] = []
        self.watches: list[Any] = []
        self.reception = Reception(canary_timeout_seconds=5.0, monotonic=self.clock)
        self.guard = ReceiverGuard(
            reception=self.reception, attach=self._attach, configuration=lambda: {"group": "g"},
            on_started=lambda _: None, make_child=self._make, monotonic=self.clock,
        )  # fmt: skip

    def _make(self, name: str) -> StubChild:
        self.children.append(StubChild(name))
        return self.children[-1]

    def _attach(self, child: Child, watch: Any) -> Source:
        self.watches.append(watch)
        source = Source(child=child, on_frame=lambda *_: None)
        source.ended.set()
        return source

    def tick(self, seconds: float = 0.1, *, silent: tuple[int, ...] = (), **facts: Any) -> None:
        """Some time later: each living process reports that it receives, but those in `silent`, which are deaf."""
        self.clock.now += seconds
        self.reception.on_listened()
        for number, (child, watch) in enumerate(zip(self.children, self.watches, strict=True)):
            if child.code is None:
                answered = None if number in silent else 0.1
                watch.on_status({
                    "phase": "receiving", "connected": True, "canary_answered_seconds_ago": answered,
                    **(facts if number == len(self.children) - 1 else {}),
                })  # fmt: skip
        self.guard.tick()


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.guard.tick()
    stage.tick()
    return stage


def with_successor(stage: Stage) -> None:
    stage.guard.replace("reload", "another configuration")
    stage.guard.tick()
    assert len(stage.children) == 2


def test_a_receiver_that_recovers_by_itself_is_not_said_to_need_a_replacement(stage: Stage) -> None:
    while len(stage.children) < 2:
        stage.tick(1.0, silent=(0,))
    stage.tick(0.1, silent=(0,), lost="the connection was lost")
    assert stage.reception.not_replaced == "the connection was lost"
    stage.tick()
    assert stage.reception.not_replaced == ""


def test_once_the_active_process_receives_nothing_any_more_its_successor_is_kept_whatever_happens(stage: Stage) -> None:
    with_successor(stage)
    stage.tick()
    assert stage.children[0].said == ["hand_over"]
    stage.watches[0].on_status({"phase": "receiving", "connected": True, "closing": True})
    stage.watches[1].on_status({"phase": "receiving", "connected": False, "lost": "the connection was lost"})
    stage.guard.tick()
    assert stage.children[1].code is None
    assert "stay" not in stage.children[0].said
    stage.children[0].code = 0
    assert stage.watches[1].is_successor
    stage.guard.tick()
    assert stage.children[1].said == ["deliver"]
    assert not stage.watches[1].is_successor


def test_a_process_that_delivers_its_rest_after_a_lost_connection_is_not_killed_by_a_reload(stage: Stage) -> None:
    stage.tick(connected=False, lost="the connection was lost")
    stage.guard.replace("reload", "another configuration")
    assert stage.children[0].code is None


def test_after_a_dropped_successor_a_restart_uses_the_client_id_of_the_process_that_ended(stage: Stage) -> None:
    with_successor(stage)
    assert [child.configuration["second_client_id"] for child in stage.children] == [False, True]
    stage.tick(0.1, lost="the connection was lost")
    assert stage.children[1].code == -9
    stage.children[0].code = 1
    stage.guard.tick()
    stage.clock.now += 10.0
    stage.guard.tick()
    assert stage.children[2].configuration["second_client_id"] is False


def test_a_broker_that_disconnects_whoever_announces_a_member_is_not_announced_to_a_third_time(stage: Stage) -> None:
    for _ in range(2):
        assert stage.children[-1].configuration["group"] == "g"
        stage.tick(0.1, connected=False, lost="the connection was lost", presence_cut=True)
        stage.children[-1].code = 0
        stage.guard.tick()
        stage.clock.now += 10.0
        stage.guard.tick()
    assert stage.children[-1].configuration["group"] is None
