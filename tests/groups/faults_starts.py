"""Faults around starts: several members at the same instant, clocks apart, a member that joins."""

from __future__ import annotations

from tests.groups.faults import Play, fault
from tests.groups.stage import Stage

_CLOCK_SECONDS = 5.0


@fault("three members started at the same instant, with backlogs")
def start_three_at_once(play: Play) -> None:
    """All hold the same events, none of them stands in the output, and no record says who should publish."""
    stage = play.stage
    stage.kafka.hang()
    play.last(2.0)
    rate = stage.pause_load()
    for member in stage.playing:
        member.kill_all()
    stage.kafka.resume()
    _start_at_once(stage)
    stage.load.rate = rate
    stage.wait_until_well()
    spare = stage.standbys()[-1]
    spare.terminate()


@fault("all forwarders killed and started")
def restart_all(play: Play) -> None:
    """A power cut of everything but Kafka."""
    stage = play.stage
    rate = stage.pause_load()
    killed = stage.playing
    for member in killed:
        member.kill_all()
    for member in killed:
        member.start(wait_ready=False)
    for member in killed:
        member.wait_ready()
    stage.load.rate = rate


@fault("a third member joins, and the publishing one is killed", takes_over=True)
def join(play: Play) -> None:
    """Two stand by for the same seat; only one may get it."""
    stage = play.stage
    spare = next((member for member in stage.members.values() if not member.alive), None)
    if spare is not None:
        spare.start()
        stage.wait_until_well()
    publishing = stage.publishing()
    publishing.kill_all()
    stage.wait_for_progress()


@fault("clocks apart, publishing forwarder killed")
def set_clocks_apart(play: Play) -> None:
    """The one that takes over stamps its records five seconds off, forward or back."""
    stage = play.stage
    standby = play.dice.choice(stage.standbys())
    standby.terminate()
    standby.set_clock(play.dice.choice((-_CLOCK_SECONDS, _CLOCK_SECONDS)))
    standby.start()
    stage.wait_until_well()
    member = stage.publishing()
    member.kill_all()
    stage.wait_for_progress()
    member.set_clock(0.0)
    member.start()


def _start_at_once(stage: Stage) -> None:
    for member in stage.members.values():
        member.start(wait_ready=False)
    for member in stage.members.values():
        member.wait_ready()
