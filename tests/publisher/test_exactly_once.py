"""The edges of exactly-once delivery, command by command: a scripted member, and no Kafka behind it."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import Any, ClassVar, cast

import pytest

from tie_forwarder.group.batch_size import BatchSize
from tie_forwarder.group.commands import (
    AskGap,
    Command,
    DropProducer,
    Gap,
    Leaving,
    OpenProducer,
    PublishBatch,
    Role,
    Show,
)
from tie_forwarder.group.member import Memory
from tie_forwarder.kafka.errors import Verdict
from tie_forwarder.publisher import exactly_once, unseen
from tie_forwarder.publisher.exactly_once import ExactlyOnce
from tie_forwarder.publisher.parent import Grants
from tie_forwarder.records.record import Record
from tie_forwarder.spool import Row
from tie_forwarder.spool.reader import Page

PLACE = ("output", 0)
EVENT_ID = "00000000-0000-0000-0000-000000000001"


class Script:
    """A member that gives these commands and then leaves."""

    name = "me"

    def __init__(self, commands: Sequence[Command]) -> None:
        self.memory = Memory()
        self._commands = commands

    def life(self) -> Generator[Command, Any, None]:
        yield from (command for command in self._commands)
        raise Leaving


class Spool:
    """A row for each position; tells up to where it was read."""

    def __init__(self) -> None:
        self.through: list[int] = []

    def read(self, *, after: int, through: int, limit: int) -> Page:
        self.through.append(through)
        positions = range(after + 1, min(through, after + limit) + 1)
        record = Record("detection", EVENT_ID, b"key", b"{}", (), 1)
        return Page([Row(position, record, None) for position in positions], [], through)


class Kafka:
    """Tail, seat, producer and reports in one: commits everything, and shows readers nothing."""

    topic_ids: ClassVar[dict[str, str]] = {}

    def stable_ends(self) -> dict[tuple[str, int], int]:
        return {PLACE: 0}

    def sift(self, rows: Sequence[Row]) -> tuple[Sequence[Row], list[Any]]:
        return rows, []

    def publish(self, rows: Sequence[Row], *, restamped: set[int]) -> dict[tuple[str, int], int]:
        return {PLACE: len(rows) + 1}

    def close(self) -> bool:
        return True

    def positions(self) -> dict[str, dict[int, int]]:
        return {}

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def run(*commands: Command, spool: Spool | None = None, grants: Grants | None = None) -> list[Verdict | None]:
    """Carry out the commands; returns the trouble that was reported before each."""
    troubles: list[Verdict | None] = []
    kafka: Any = Kafka()
    ExactlyOnce(
        member=cast("Any", Script(commands)),
        tail=kafka,
        reader=cast("Any", spool or Spool()),
        grants=grants or granted(5),
        batch_size=BatchSize(),
        barriers=kafka,
        seat=kafka,
        reports=kafka,
        make_transactions=lambda: kafka,
        start=None,
        margin_ms=0,
        live_ms=0,
        stop=threading.Event(),
        on_alive=lambda _, trouble: troubles.append(trouble),
    ).run()
    return troubles


def granted(through: int) -> Grants:
    grants = Grants()
    grants.raise_to(through)
    return grants


class Interrupted(Grants):
    """A gap is noted, and what came after it is granted, just after a wait for more has ended."""

    def wait_beyond(self, position: int, *, timeout_seconds: float, gap: int | None = None) -> int:
        answer = super().wait_beyond(position, timeout_seconds=timeout_seconds, gap=gap)
        self.note_gap(Gap(1, is_open=True))
        self.raise_to(6)
        return answer


def test_a_row_from_after_a_gap_is_not_read_when_the_gap_is_noted_just_after_the_wait() -> None:
    spool, grants = Spool(), Interrupted()
    grants.raise_to(5)
    run(OpenProducer(), PublishBatch(10), spool=spool, grants=grants)
    assert spool.through == [5]


def test_a_member_that_has_dropped_its_producer_is_not_troubled_by_what_it_had_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unseen, "_HIDDEN_SECONDS", 0.0)
    monkeypatch.setattr(exactly_once, "_LAST_LOOK_SECONDS", 0.05)
    troubles = run(OpenProducer(), PublishBatch(10), DropProducer(), Show(Role.STANDBY), AskGap())
    assert troubles[-2:] == [None, None]
