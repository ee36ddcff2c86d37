"""Faults of what members hear: deafness of one and of both, whole and partial, and lag."""

from __future__ import annotations

from tests.groups.faults import Play, fault
from tests.groups.feeds import everything, nothing

_SECONDS = 5.0


@fault("publishing member deaf")
def deafen_publishing(play: Play) -> None:
    """Connected and subscribed, and nothing comes."""
    member = play.stage.publishing()
    member.feed.route = nothing
    play.last(_SECONDS)
    member.feed.route = everything


@fault("publishing member partly deaf")
def deafen_publishing_partly(play: Play) -> None:
    """Half of the detections are withheld from it, the odd ones: only the standby has these."""
    member = play.stage.publishing()
    member.feed.route = lambda number: None if number % 2 else 0.0
    play.last(_SECONDS * 2)
    member.feed.route = everything


@fault("standby deaf")
def deafen_standby(play: Play) -> None:
    """Nobody notices, and nothing is lost."""
    member = play.dice.choice(play.stage.standbys())
    member.feed.route = nothing
    play.last(_SECONDS)
    member.feed.route = everything


@fault("all partly deaf, each to something else")
def deafen_all_partly(play: Play) -> None:
    """Some detections only one member has, others only another one, the rest all."""
    members = play.stage.playing
    for index, member in enumerate(members):
        member.feed.route = lambda number, index=index: (  # type: ignore[misc]
            0.0 if number % 4 in (2, 3) or number // 4 % len(members) == index else None
        )
    play.last(_SECONDS * 2)
    for member in members:
        member.feed.route = everything


@fault("deaf publishing member killed")
def kill_the_deaf(play: Play) -> None:
    """The standby alone has what came since."""
    member = play.stage.publishing()
    member.feed.route = nothing
    play.last(2.0)
    member.kill_all()
    member.feed.route = everything
    member.start()


@fault("standby lags")
def delay_standby(play: Play) -> None:
    """Its detections come seconds late, when they stand in the output already."""
    member = play.dice.choice(play.stage.standbys())
    member.feed.route = lambda _: 4.0
    play.last(_SECONDS)
    member.feed.route = everything


@fault("publishing member lags")
def delay_publishing(play: Play) -> None:
    """The standby waits, takes over perhaps, and the late ones must be recognised."""
    member = play.stage.publishing()
    member.feed.route = lambda _: play.longer_than_a_takeover
    play.last(_SECONDS * 2)
    member.feed.route = everything


@fault("standby's receiver stopped and let go on")
def stop_standby_receiver(play: Play) -> None:
    """What waits in its fabric comes all at once afterwards."""
    member = play.dice.choice(play.stage.standbys())
    stopped = member.suspend("receiver")
    play.last(4.0)
    stopped[0].resume()


@fault("publishing member's fabric restarted")
def restart_fabric(play: Play) -> None:
    """Its receiver loses the connection, and what comes meanwhile."""
    play.stage.publishing().fabric.restart()
