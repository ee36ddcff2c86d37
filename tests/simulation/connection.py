"""The way between a publisher process and Kafka: it is slow, it breaks, and it loses requests and answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from tests.simulation.kafka import Concurrent, Kafka, Refused
from tests.simulation.world import World
from tie_forwarder.group.commands import Fenced
from tie_forwarder.kafka.errors import ErrorClass, PublisherError, Verdict

T = TypeVar("T")

_METADATA_SECONDS = 3.0


def transient(detail: str) -> PublisherError:
    """An error that ends the process and is over some time later."""
    return PublisherError(Verdict(ErrorClass.TRANSIENT, "timeout", detail))


class Connection:
    """Requests of one member; `lost_requests` and `lost_answers` are shares of those that change something."""

    def __init__(self, *, world: World, kafka: Kafka, latency: float) -> None:
        self._world = world
        self.kafka = kafka
        self._latency = latency
        self.lost_requests = 0.0
        self.lost_answers = 0.0

    def rest(self) -> float:
        """One way."""
        return self._world.random.uniform(0.1, 1.0) * self._latency

    def ask(self, question: Callable[[], T]) -> Generator[float, None, T]:
        """Asks all partitions for something; fails while Kafka is away, or one of them has no leader for too long."""
        yield self.rest()
        leaderless = self.kafka.leaderless_until(range(len(self.kafka.partitions))) - self._world.now
        if leaderless > 0.0:
            yield min(leaderless, _METADATA_SECONDS)
            if leaderless > _METADATA_SECONDS:
                raise transient("a partition has no leader")
        if self._world.now < self.kafka.down_until:
            yield 0.5
            raise transient("Kafka is away")
        answer = question()
        yield self.rest()
        return answer

    def change(
        self, request: Callable[[], T], *, patience: float, places: Iterable[int] = (), seconds: float = 0.0
    ) -> Generator[float, None, T]:
        """Changes something, in these partitions, which takes so long to send.

        Once sent it may take effect after its sender has given up, or died.

        Raises what Kafka says, or a transient error that leaves the outcome open.
        """
        world = self._world
        outcomes: list[Any] = []
        lost = world.random.random() if self.lost_requests or self.lost_answers else 1.0
        arrives = max(world.now, self.kafka.down_until, self.kafka.leaderless_until(places)) + seconds + self.rest()

        def arrive() -> None:
            world.under_way -= 1
            try:
                outcomes.append(request())
            except (Fenced, Concurrent, Refused) as refusal:
                outcomes.append(refusal)

        if lost >= self.lost_requests:
            world.under_way += 1
            world.at(arrives, arrive)
        give_up_at = world.now + patience
        yield min(arrives + self.rest() - world.now, patience)
        if not outcomes:
            yield max(0.0, min(0.3, give_up_at - world.now))
        if not outcomes or self.lost_requests <= lost < self.lost_requests + self.lost_answers:
            raise transient("no answer")
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        answer: T = outcomes[0]
        return answer
