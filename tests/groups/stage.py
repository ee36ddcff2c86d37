"""The stage of a group: one Kafka, its members with their fabrics, the load, and a follower of the output.

Owns: who plays, and when the play is over. Must not: hurt anybody; faults do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.groups.feeds import Acquaintance, GroupLoad
from tests.groups.follower import Follower
from tests.groups.member import Member
from tests.harness.judge import Judge, Verdict
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

TAKEOVER_SECONDS = 3.0
_MEMORY_SECONDS = 120
_CAUGHT_UP_SECONDS = 1.5
_QUIET_SECONDS = 1.0
_LETTERS_SECONDS = 10.0


class Stage:
    """From `with` to its end. The members are not started by that."""

    def __init__(
        self,
        *,
        directory: Path,
        authority: Authority,
        kafka: KafkaCluster,
        names: Sequence[str] = ("a", "b"),
        rate: float = 400.0,
        topics: Topics | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        takeover_after_seconds: float = TAKEOVER_SECONDS,
    ) -> None:
        self.kafka = kafka
        self.topics = topics or Topics.unique("group").create(kafka.administration)
        self.takeover_after = takeover_after_seconds
        group = {
            "takeover_after_seconds": takeover_after_seconds,
            "window_seconds": _MEMORY_SECONDS,
            "margin_seconds": _MEMORY_SECONDS,
        }
        sections = {**(options or {}), "kafka": {"delivery": "exactly_once", **(options or {}).get("kafka", {})}}
        sections["group"] = {**group, **(options or {}).get("group", {})}
        self.members = {
            name: Member(
                name=name, directory=directory, authority=authority, kafka=kafka, topics=self.topics, options=sections
            )
            for name in names
        }
        # Each test's group has its own transactional id, so that tests can share a Kafka.
        name = self.topics.detection.removesuffix(".detection")
        for member in self.members.values():
            member.config["group"]["name"] = name
        feeds = {name: member.feed for name, member in self.members.items()}
        self.load = GroupLoad(feeds=feeds, rate=rate)
        self._acquaintance = Acquaintance(
            group=name, feeds=feeds, running=lambda: [member.name for member in self.playing]
        )
        self.follower = Follower(bootstrap_servers=kafka.internal_servers, topics=[self.topics.detection])
        self._stack = ExitStack()

    @property
    def playing(self) -> list[Member]:
        """The members whose forwarder runs."""
        return [member for member in self.members.values() if member.alive]

    def start(self, *names: str) -> None:
        """Starts these members, all where none is named, one after the other, and begins to follow the output."""
        for name in names or tuple(self.members):
            self.members[name].start()
        self.follower.start()
        self._stack.callback(self.follower.stop)
        self._acquaintance.start()
        self._stack.callback(self._acquaintance.stop)

    def publishing(self, *, timeout: float = 30.0) -> Member:
        """The member that publishes, once exactly one says so."""

        def only() -> Member | None:
            found = [member for member in self.playing if member.role == "publishing"]
            return found[0] if len(found) == 1 else None

        found = wait_until(only, timeout=timeout, what=lambda: f"one member publishes: {self.describe()}")
        assert found is not None
        return found

    def standbys(self) -> list[Member]:
        """The members that run and do not publish."""
        publishing = self.publishing()
        return [member for member in self.playing if member is not publishing]

    def wait_for_progress(self, *, timeout: float = 60.0) -> float:
        """Blocks until a detection given out from now on stands in the output; the seconds that it took."""
        started, first = time.monotonic(), len(self.load.numbers)
        self._wait(lambda: any(n in self.follower.seen_at for n in self.load.numbers[first:]), timeout, "progress")
        return time.monotonic() - started

    def wait_until_well(self, *, timeout: float = 90.0) -> None:
        """Blocks until every running member receives and is connected, and no backlog is left."""
        most = max(self.load.rate * _CAUGHT_UP_SECONDS, 50)

        def well() -> bool:
            return (
                all(member.well and 0 <= member.in_spool <= most for member in self.playing)
                and sum(member.role == "publishing" for member in self.playing) == 1
            )

        self._wait(well, timeout, "every member well and caught up")

    def pause_load(self, *, timeout: float = 30.0) -> float:
        """Pauses the load and blocks until what was given out is in the spools; the rate that it had."""
        rate, self.load.rate = self.load.rate, 0.0
        before, since = self._received(), time.monotonic()
        give_up_at = since + timeout
        while time.monotonic() - since < _QUIET_SECONDS:
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"detections keep coming after the load was paused\n{self.describe()}")
            received = self._received()
            if received != before or not all(member.feed.idle for member in self.playing):
                before, since = received, time.monotonic()
            time.sleep(0.05)
        return rate

    def finish(self, *, timeout: float = 90.0) -> Verdict:
        """Ends the load, waits until all spools are empty, checks the ledgers, and judges the output."""
        numbers = self.load.finish()
        self.settle(timeout=timeout)
        verdict = _without_foreign(self.judge().verdict(numbers))
        assert not self.follower.repeated, f"the follower saw twice: {self.follower.repeated[:10]}"
        return verdict

    def settle(self, *, timeout: float = 90.0) -> None:
        """Blocks until the spools of the members that run stay empty, and checks their ledgers."""
        numbers = list(self.load.numbers)
        self._wait(lambda: self.follower.has_seen(numbers), _LETTERS_SECONDS, "all in the output", on_timeout=False)
        for member in self.playing:
            member.wait_until_drained(timeout=timeout)
            member.wait_until(lambda f: f.ledger()["imbalance"] == 0, timeout=5.0, what="a balanced ledger")
            ledger = member.ledger()
            assert ledger["in_spool"] == 0, ledger
            assert ledger["dropped"] == member.lost_with_receivers(), ledger

    def judge(self) -> Judge:
        """Who judges the output."""
        return Judge(bootstrap_servers=self.kafka.internal_servers, topics=self.topics)

    def describe(self) -> str:
        """Every member in one line, for errors."""
        lines = []
        for name, member in self.members.items():
            try:
                status = member.status()
                group = status["group"]
                lines.append(
                    f"{name}: {status['state']}/{status['reason']} {group['role']} ({group['reason']}) "
                    f"{group['takeovers']} {status['ledger']}"
                )
            except (OSError, ValueError):
                lines.append(f"{name}: no answer, {'alive' if member.alive else 'not running'}")
        return "\n".join(lines)

    def _received(self) -> list[int]:
        return [member.ledger()["received"] for member in self.playing]

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str, *, on_timeout: bool = True) -> None:
        try:
            wait_until(condition, timeout=timeout, what=lambda: f"{what}\n{self.describe()}")
        except TimeoutError:
            if on_timeout:
                raise

    def __enter__(self) -> Self:
        for member in self.members.values():
            self._stack.enter_context(member.fabric)
            self._stack.callback(member.discard)
            member.feed.start()
            self._stack.callback(member.feed.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _without_foreign(verdict: Verdict) -> Verdict:
    """The verdict on records that carry an event: what others wrote to the topic has no id."""
    return replace(
        verdict,
        duplicated={event: count for event, count in verdict.duplicated.items() if event},
        unexpected=[event for event in verdict.unexpected if event],
    )
