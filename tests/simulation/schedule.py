"""One schedule from its seed to the judgement: puts the parts together and lets the faults loose on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from tests.simulation.connection import Connection
from tests.simulation.forwarder import Forwarder, Pipe
from tests.simulation.judge import judge, late_share, longest_wait, newest_publisher
from tests.simulation.kafka import Kafka, Transaction
from tests.simulation.mutants import NONE, Mutant
from tests.simulation.plan import Event, Fault, Plan, draw
from tests.simulation.publisher import Publisher
from tests.simulation.times import DEAF_SECONDS, Times
from tests.simulation.world import Process, World
from tie_forwarder.group.commands import Reason, Role

WINDOW_SECONDS = 30.0
RECOVERY_SECONDS = 60.0
"""Within so many seconds of the last fault every spool is empty (T = 3 s)."""
_STOPPED_TOO_LONG = 5.0


@dataclass
class Outcome:
    """What became of a schedule."""

    seed: int
    complaints: list[str]
    takeovers: Counter[str] = field(default_factory=Counter)
    initialisations: int = 0
    recovery_seconds: float = 0.0
    longest_wait_seconds: float = 0.0
    late_share: float = 0.0
    steps: int = 0


class Schedule:
    """Everything of one schedule."""

    def __init__(
        self,
        seed: int,
        *,
        plan: Plan | None = None,
        mutant: Mutant = NONE,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self.seed = seed
        self.plan: Plan = plan or draw(seed)
        self._world = World(seed, trace=trace)
        self._mutant = mutant
        self._times = Times(
            margin=Times.margin if mutant.margin is None else mutant.margin,
            transaction_timeout=self.plan.transaction_timeout,
            takeover_after=self.plan.takeover_after,
        )
        self._kafka = Kafka(
            self._world,
            partitions=self.plan.partitions,
            slowest_mark=self.plan.slowest_mark,
            log_append_time=self.plan.log_append_time,
        )
        self._kafka.poison = {Event(number, 0.0).event_id for number in self.plan.poison}
        self._takeovers: Counter[str] = Counter()
        self._deaf_until = [0.0] * self.plan.members
        self._turbulent_until = [0.0] * self.plan.members
        self._cuts: list[Fault] = []
        self._publishers: dict[str, Publisher] = {}
        self._connections = [
            Connection(world=self._world, kafka=self._kafka, latency=self.plan.latency)
            for _ in range(self.plan.members)
        ]
        self._forwarders = [self._forwarder(number) for number in range(self.plan.members)]

    def run(self) -> Outcome:
        """Until every spool is empty and nothing is under way, or the time is over."""
        world, plan = self._world, self.plan
        for forwarder, at in zip(self._forwarders, plan.starts_at, strict=True):
            forwarder.stopped_until = at
            world.at(at, forwarder.start)
        for event in plan.events:
            world.at(event.published_at, lambda event=event: self._broadcast(event))  # type: ignore[misc]
        for fault in plan.faults:
            world.at(fault.at, lambda fault=fault: self._strike(fault))  # type: ignore[misc]
        healed_at = max(plan.healed_at, *plan.starts_at, 0.0)
        recovered_at = [0.0]

        def done() -> bool:
            if world.now < healed_at or any(forwarder.spool for forwarder in self._forwarders):
                return False
            recovered_at[0] = recovered_at[0] or world.now
            if self._unaware():
                return False
            return world.under_way == 0 and all(world.now > f.stopped_until for f in self._forwarders)

        world.run(until=healed_at + RECOVERY_SECONDS, done=done)
        return Outcome(
            seed=self.seed,
            complaints=[*judge(self._kafka, self._forwarders), *self._unaware()],
            takeovers=self._takeovers,
            initialisations=self._kafka.inits,
            longest_wait_seconds=longest_wait(self._kafka, plan),
            late_share=late_share(self._kafka),
            recovery_seconds=(recovered_at[0] or world.now) - healed_at,
            steps=world.steps,
        )

    def _forwarder(self, number: int) -> Forwarder:
        def start_publisher(forwarder: Forwarder, pipe: Pipe) -> Process:
            publisher = Publisher(
                world=self._world,
                forwarder=forwarder,
                pipe=pipe,
                connection=self._connections[number],
                times=self._times,
                partial_polls=self.plan.partial_polls,
                seconds_per_row=self.plan.seconds_per_row,
                batch_rows=self.plan.batch_rows,
                mutant=self._mutant,
                on_takeover=self._on_takeover,
                on_effect=lambda effect: self._cut_after(effect, number),
            )
            self._publishers[forwarder.name] = publisher
            self._world.tell(forwarder.name, "publisher process starts")
            process = Process(publisher.run(), on_step=lambda process: self._tossed(number, process))
            return self._world.spawn(process, at=self._world.now + self._world.random.uniform(0.05, 0.5))

        return Forwarder(
            name=f"m{number}",
            world=self._world,
            mutant=self._mutant,
            window_seconds=WINDOW_SECONDS if self._mutant.window is None else self._mutant.window,
            clock_ahead=self.plan.clocks_ahead[number],
            frame_lag=self.plan.frame_lag,
            late_frames=self.plan.late_frames,
            max_rows=self.plan.max_rows,
            start_publisher=start_publisher,
        )

    def _unaware(self) -> list[str]:
        """Members that say that they publish, although another one has published since they began."""
        name, at = newest_publisher(self._kafka)
        return [
            f"{forwarder.name} says that it publishes, and {name} does"
            for forwarder in self._forwarders
            if forwarder.publisher is not None
            and (publisher := self._publishers[forwarder.name]).role is Role.PUBLISHING
            and forwarder.name != name
            and publisher.publishing_since < at
        ]

    def _on_takeover(self, name: str, reason: Reason) -> None:
        self._takeovers[reason.value] += 1
        self._world.tell(name, f"takes over: {reason.value}")

    def _broadcast(self, event: Event) -> None:
        dice = self._world.random
        for number, forwarder in enumerate(self._forwarders):
            lag = dice.uniform(1.0, 6.0) if dice.random() < self.plan.late else dice.uniform(0.001, 0.2)
            copies = 2 if dice.random() < 0.01 else 1
            if self._world.now >= self._deaf_until[number] and self._world.now >= self.plan.starts_at[number]:
                for copy in range(copies):
                    at = self._world.now + lag + copy * 0.5
                    self._world.at(at, lambda forwarder=forwarder: forwarder.receive(event.event_id))  # type: ignore[misc]

    def _strike(self, fault: Fault) -> None:
        self._world.tell("fault", f"{fault.kind} of m{fault.member} for {fault.seconds:.2f} s")
        getattr(self, f"_{fault.kind}")(fault, self._forwarders[fault.member])

    def _publisher_killed(self, _: Fault, forwarder: Forwarder) -> None:
        forwarder.publisher_ended("killed")

    def _publisher_leaves(self, _: Fault, forwarder: Forwarder) -> None:
        if forwarder.name in self._publishers:
            self._publishers[forwarder.name].leaving = True

    def _publisher_stopped(self, fault: Fault, forwarder: Forwarder) -> None:
        process = forwarder.publisher
        if process is None:
            return
        process.stop(self._world.now + fault.seconds)
        if fault.seconds > _STOPPED_TOO_LONG:
            self._world.at(self._world.now + _STOPPED_TOO_LONG, lambda: self._replace(forwarder, process))

    def _replace(self, forwarder: Forwarder, process: Process) -> None:
        if forwarder.publisher is process:
            forwarder.publisher_ended("no sign of life")

    def _member_killed(self, fault: Fault, forwarder: Forwarder) -> None:
        self._crash(fault.member, fault.seconds)

    def _crash(self, number: int, seconds: float) -> None:
        """It receives nothing until its receiver runs again."""
        forwarder = self._forwarders[number]
        self._meet(forwarder)
        forwarder.crash(seconds)
        forwarder.peers.look(hears=False)
        self._receive_nothing(number, seconds + self._world.random.uniform(0.2, 1.0))

    def _member_stopped(self, fault: Fault, forwarder: Forwarder) -> None:
        forwarder.stop(self._world.now + fault.seconds)

    def _kafka_away(self, fault: Fault, _: Forwarder) -> None:
        self._kafka.down_until = max(self._kafka.down_until, self._world.now + fault.seconds)

    def _kafka_forgets(self, fault: Fault, forwarder: Forwarder) -> None:
        """Killed while it ends a transaction, it is away for a moment and loses that end."""
        away = min(fault.seconds, 2.0)
        self._kafka_away(fault._replace(seconds=away), forwarder)
        self._kafka.forgetful_until = max(self._kafka.forgetful_until, self._world.now + away + 1.0)

    def _leaderless(self, fault: Fault, _: Forwarder) -> None:
        partition = self._world.random.choice(self._kafka.partitions)
        partition.leaderless_until = max(partition.leaderless_until, self._world.now + fault.seconds)

    def _clock_step(self, fault: Fault, forwarder: Forwarder) -> None:
        """The clock is hours off, for a while or for good."""
        dice = self._world.random
        seconds = dice.choice((-1, 1)) * dice.uniform(3600.0, 10_000.0)
        forwarder.clock_ahead += seconds

        def set_back() -> None:
            forwarder.clock_ahead -= seconds

        if dice.random() < 0.6:
            self._world.at(self._world.now + fault.seconds, set_back)

    def _disk_refuses(self, fault: Fault, forwarder: Forwarder) -> None:
        forwarder.refuse_disk(self._world.now + fault.seconds)

    def _lossy(self, fault: Fault, _: Forwarder) -> None:
        connection = self._connections[fault.member]
        connection.lost_requests, connection.lost_answers = self._world.random.choice(
            ((0.2, 0.0), (0.0, 0.3), (0.1, 0.1))
        )

        def mend() -> None:
            connection.lost_requests = connection.lost_answers = 0.0

        self._world.at(self._world.now + fault.seconds, mend)

    def _foreign_transaction(self, fault: Fault, _: Forwarder) -> None:
        def flow() -> Generator[float, None, None]:
            transaction = Transaction(ours=False)
            dice = self._world.random
            for _ in range(3):
                dice.choice(self._kafka.partitions).append(transaction, None, self._kafka.now_ms())
                yield fault.seconds / 3
            self._kafka.end(transaction, commit=dice.random() < 0.5)

        self._world.spawn(Process(flow()), at=self._world.now)

    def _foreign_records(self, fault: Fault, _: Forwarder) -> None:
        def flow() -> Generator[float, None, None]:
            ends_at = self._world.now + fault.seconds
            while self._world.now < ends_at:
                self._world.random.choice(self._kafka.partitions).append(None, None, self._kafka.now_ms())
                yield 0.2

        self._world.spawn(Process(flow()), at=self._world.now)

    def _deaf(self, fault: Fault, _: Forwarder) -> None:
        forwarder = self._forwarders[fault.member]
        self._meet(forwarder)
        self._receive_nothing(fault.member, fault.seconds)
        if fault.seconds > DEAF_SECONDS:
            self._world.at(self._world.now + DEAF_SECONDS, lambda: self._notice(forwarder, hears=False))

    def _receive_nothing(self, number: int, seconds: float) -> None:
        until = self._deaf_until[number] = max(self._deaf_until[number], self._world.now + seconds)

        def hear_again() -> None:
            if self._world.now >= self._deaf_until[number]:
                self._notice(self._forwarders[number], hears=True)

        self._world.at(until, hear_again)

    @staticmethod
    def _notice(forwarder: Forwarder, *, hears: bool) -> None:
        forwarder.peers.look(hears=hears)

    def _meet(self, forwarder: Forwarder) -> None:
        """Up to now it has heard every member that runs."""
        now = self._world.now
        forwarder.peers.hear(
            other.name
            for other, at in zip(self._forwarders, self.plan.starts_at, strict=True)
            if at <= now >= other.stopped_until
        )

    def _cut(self, fault: Fault, _: Forwarder) -> None:
        self._cuts.append(fault)

    def _cut_after(self, effect: str, number: int) -> None:
        """Strikes when the member's process has just had the effect that a cut waits for."""
        for fault in self._cuts:
            if fault.member == number and fault.effect == effect and self._world.now < self.plan.healed_at:
                self._cuts.remove(fault)
                self._strike(fault._replace(kind=fault.means))
                return

    def _tossed(self, number: int, process: Process) -> None:
        """Between any two effects of this member's publisher process it may be killed, or stand still for a while."""
        world = self._world
        if world.now >= self._turbulent_until[number]:
            return
        chance = world.random.random()
        forwarder = self._forwarders[number]
        if chance < 0.03 and forwarder.publisher is process:
            forwarder.publisher_ended("killed between two effects")
        elif chance < 0.04:
            process.stop(world.now + world.random.uniform(0.1, 4.0))
        elif chance < 0.045:
            forwarder.stop(world.now + world.random.uniform(4.0, 20.0))
        elif chance < 0.05:
            self._crash(number, world.random.uniform(0.0, 2.0))

    def _turbulence(self, fault: Fault, _: Forwarder) -> None:
        self._turbulent_until[fault.member] = self._world.now + fault.seconds


def simulate(
    seed: int, *, plan: Plan | None = None, mutant: Mutant = NONE, trace: Callable[[str], None] | None = None
) -> Outcome:
    """One schedule, by the plan of the seed or by a given one."""
    return Schedule(seed, plan=plan, mutant=mutant, trace=trace).run()
