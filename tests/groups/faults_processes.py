"""Faults of forwarders and their processes: killed, stopped and let go on, ended in order and started again."""

from __future__ import annotations

from tests.groups.faults import Play, fault
from tests.groups.member import PARTS, wake
from tests.harness.forwarder import Part


@fault("publishing forwarder killed", takes_over=True)
def kill_publishing(play: Play) -> None:
    """All its processes; it starts again when another one has taken over."""
    member = play.stage.publishing()
    member.kill_all()
    play.stage.wait_for_progress()
    member.start()


@fault("publishing forwarder killed, back at once")
def kill_publishing_and_start_it(play: Play) -> None:
    """So fast that it may be the first to take over."""
    member = play.stage.publishing()
    member.kill_all()
    member.start()


@fault("its publisher process killed")
def kill_publisher_process(play: Play) -> None:
    """Its main process starts another one."""
    play.stage.publishing().kill_part("publisher")


@fault("its receiver killed")
def kill_receiver(play: Play) -> None:
    """What comes before the next one is subscribed, only the others hear."""
    play.stage.publishing().kill_part("receiver")


@fault("its main process killed")
def kill_main(play: Play) -> None:
    """The children end with it."""
    member = play.stage.publishing()
    member.kill_part("main")
    member.wait(timeout=10.0)
    play.stage.wait_for_progress()
    member.start()


def _stop_for_a_while(play: Play, *parts: Part) -> None:
    stopped = play.stage.publishing().suspend(*parts)
    try:
        play.last(play.longer_than_a_takeover)
    finally:
        wake(stopped)


@fault("its publisher process stopped and let go on", takes_over=True)
def stop_publisher_process(play: Play) -> None:
    """It goes on in the middle of a transaction that was fenced meanwhile."""
    _stop_for_a_while(play, "publisher")


@fault("its main process stopped and let go on")
def stop_main(play: Play) -> None:
    """Its children go on for as long as the pipes take what they write."""
    _stop_for_a_while(play, "main")


@fault("its receiver stopped and let go on")
def stop_receiver(play: Play) -> None:
    """The member publishes on, and hears nothing."""
    _stop_for_a_while(play, "receiver")


@fault("all its processes stopped and let go on", takes_over=True)
def stop_all(play: Play) -> None:
    """As a machine that is suspended."""
    _stop_for_a_while(play, *PARTS)


@fault("standby's publisher process stopped and let go on")
def stop_standby(play: Play) -> None:
    """Its tail lags, its spool fills."""
    stopped = play.dice.choice(play.stage.standbys()).suspend("publisher")
    play.last(play.longer_than_a_takeover)
    wake(stopped)


@fault("standby killed while it holds a backlog")
def kill_standby_with_backlog(play: Play) -> None:
    """What it holds stands in the output meanwhile; it must find that out at its start."""
    member = play.dice.choice(play.stage.standbys())
    member.suspend("publisher")
    play.last(3.0)
    member.kill_all()
    member.start()


@fault("publishing forwarder ended in order")
def terminate_publishing(play: Play) -> None:
    """It leaves its seat vacant, and starts again when another one publishes."""
    member = play.stage.publishing()
    member.terminate()
    play.stage.wait_for_progress()
    member.start()


@fault("rolling upgrade")
def upgrade_all(play: Play) -> None:
    """Each in turn is ended and started under load."""
    for member in play.stage.playing:
        member.terminate()
        member.start()
        play.stage.wait_until_well()


@fault("publishing forwarder killed twice in a row", takes_over=True)
def kill_and_kill_the_next(play: Play) -> None:
    """The one that has just taken over dies as well, soon after its first commit."""
    first = play.stage.publishing()
    first.kill_all()
    play.stage.wait_for_progress()
    first.start()
    play.stage.publishing().kill_part("publisher")
