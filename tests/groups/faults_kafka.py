"""Faults of Kafka, and of others who write to the output topic."""

from __future__ import annotations

from contextlib import suppress

from tests.groups.faults import Play, fault
from tests.groups.writers import PlainWriter, TransactionalWriter


@fault("Kafka killed")
def kill_kafka(play: Play) -> None:
    """In the middle of commits, which come many times a second."""
    play.stage.kafka.kill()
    play.stage.kafka.restart()


@fault("Kafka hung")
def hang_kafka(play: Play) -> None:
    """For less or more than the takeover time."""
    play.stage.kafka.hang()
    play.last(play.dice.uniform(2.0, play.longer_than_a_takeover + 6.0))
    play.stage.kafka.resume()


@fault("Kafka hung, publisher process killed meanwhile")
def leave_a_transaction_open(play: Play) -> None:
    """What the killed one had written stands in Kafka's buffers: its transaction is opened after its death."""
    member = play.stage.publishing()
    play.stage.kafka.hang()
    play.last(0.3)
    member.kill_part("publisher")
    play.last(play.dice.uniform(0.5, 3.0))
    play.stage.kafka.resume()


@fault("Kafka hung, publishing forwarder killed meanwhile")
def leave_a_transaction_open_for_good(play: Play) -> None:
    """The same, and only another member can end the transaction."""
    member = play.stage.publishing()
    play.stage.kafka.hang()
    play.last(0.3)
    member.kill_all()
    play.stage.kafka.resume()
    play.stage.wait_for_progress()
    member.start()


@fault("Kafka killed, publishing forwarder too")
def kill_kafka_and_the_publishing(play: Play) -> None:
    """Nobody may begin before Kafka is back."""
    member = play.stage.publishing()
    play.stage.kafka.kill()
    member.kill_all()
    play.stage.kafka.restart()
    member.start()


@fault("foreign transactions held open, takeover meanwhile")
def hold_foreign_transactions(play: Play) -> None:
    """The last stable offset stands still for seconds, and moves by somebody else's doing."""
    with TransactionalWriter(
        bootstrap_servers=play.stage.kafka.internal_servers, topic=play.stage.topics.detection, held_seconds=4.0
    ) as writer:
        writer.wait_until_open()
        member = play.stage.publishing()
        member.kill_all()
        play.stage.wait_for_progress()
        member.start()
        play.last(3.0)


@fault("foreign transaction held open, nobody dies")
def hold_a_foreign_transaction(play: Play) -> None:
    """Longer than the takeover time: nobody may take that for a dead publisher, or fence without end."""
    with TransactionalWriter(
        bootstrap_servers=play.stage.kafka.internal_servers,
        topic=play.stage.topics.detection,
        held_seconds=play.longer_than_a_takeover + 2.0,
    ) as writer:
        writer.wait_until_open()
        play.last(play.longer_than_a_takeover + 1.0)


@fault("foreign plain writer, publishing forwarder killed", takes_over=True)
def write_plainly(play: Play) -> None:
    """The high watermark moves by somebody else's doing, which is no sign of life of the group."""
    with PlainWriter(bootstrap_servers=play.stage.kafka.internal_servers, topic=play.stage.topics.detection):
        member = play.stage.publishing()
        member.kill_all()
        play.stage.wait_for_progress()
        member.start()


@fault("foreign initialisation of the group's id")
def fence_from_outside(play: Play) -> None:
    """Somebody else uses the group's name once: the publishing member is fenced by nobody who publishes."""
    group = play.stage.publishing().config["group"]["name"]
    with suppress(Exception):
        TransactionalWriter.initialise(bootstrap_servers=play.stage.kafka.internal_servers, transactional_id=group)
