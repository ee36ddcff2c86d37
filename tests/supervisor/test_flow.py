"""The flow on a real spool and real pipes, turn by turn: late reports, grants, and a disk that refuses."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.harness.detections import DETECTION_TOPIC, detection, message_id
from tests.harness.waiting import wait_until
from tie_forwarder.backoff import Backoff
from tie_forwarder.events.message import Message
from tie_forwarder.group.window import Window
from tie_forwarder.intake import Intake
from tie_forwarder.processes.child import Child, _widen
from tie_forwarder.processes.frames import Kind, encode, encode_json, encode_messages
from tie_forwarder.spool import Reader, Spool, merged, pack_id
from tie_forwarder.status.metrics import Metrics
from tie_forwarder.supervisor.accounts import Accounts
from tie_forwarder.supervisor.flow import Flow
from tie_forwarder.supervisor.guard import Guard, Source
from tie_forwarder.supervisor.peers import Peers, WithheldTopics
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_watch import Reception, Replacement

MIB = 1024 * 1024
WELL = {"connected": True, "waiting_seconds": 0.0, "trouble": None}
MEMORY = {"reigned": True, "boost": 1.0, "newest": "", "limit": 1, "then_alone": False}


class Pipe(Child):
    """A child process of which the test is the inside: it writes the frames and reads what the child is told."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._read, self._write = os.pipe()
        _widen(self._write)
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        self.told: list[dict[str, Any]] = []

    @property
    def output(self) -> int:
        return self._read

    def exit_code(self) -> int | None:
        return None

    def say(self, line: dict[str, Any]) -> bool:
        self.told.append(line)
        return True

    def write(self, frame: bytes) -> None:
        assert os.write(self._write, frame) == len(frame)

    def report(self, **body: Any) -> None:
        self.write(encode_json(Kind.REPORT, body))

    def seen(self, numbers: Iterable[int]) -> None:
        self.write(encode(Kind.SEEN, b"".join(map(packed, numbers))))

    def heard(self, verb: str) -> list[dict[str, Any]]:
        return [line for line in self.told if line["verb"] == verb]

    def end(self) -> None:
        os.close(self._write)


def packed(number: int) -> bytes:
    return pack_id(message_id(number).strip("{}"))


class Bench:
    """A flow whose turns the test takes."""

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self.spool = Spool(directory=directory, max_bytes=max_bytes, drop_oldest=True)
        self.spool.open()
        self.directory = directory
        metrics = Metrics(CollectorRegistry(), kinds=["detection"], topics=["output"])
        self.accounts = Accounts(metrics=metrics, topics={"detection": "output", "dead_letter": "output"})
        self.accounts.on_start(self.spool.events)
        self.watch = PublisherWatch(first_role="standby", monotonic=lambda: 0.0)
        self.reception = Reception(canary_timeout_seconds=10.0, monotonic=lambda: 0.0)
        self.peers = Peers(directory=directory, own="one")
        self.flow = Flow(
            spool=self.spool,
            intake=Intake(fabric="main", key_by="agent_guid", kinds=("detection",)),
            window=Window(seconds=600),
            accounts=self.accounts,
            receiver=self.reception,
            publisher=self.watch,
            peers=self.peers,
            withheld=WithheldTopics(topics=[DETECTION_TOPIC], live_seconds=60.0),
            commit_interval_seconds=0.0,
        )
        self.receiver = Pipe("receiver")
        self.attach_receiver(self.receiver)

    def attach_receiver(self, child: Any) -> Source:
        return self.flow.attach_receiver(child, self.reception.new_watch())

    def publisher(self) -> tuple[Pipe, Any]:
        """A new publisher process, and its source."""
        child = Pipe("publisher")
        return child, self.flow.attach_publisher(child)

    def receive(self, numbers: Iterable[int], *, padding: int = 0) -> None:
        at, spaces = 1_700_000_000_000, b" " * padding
        messages = [
            Message(message_id(n), DETECTION_TOPIC, "", "", detection(n, agent=n % 50) + spaces, at) for n in numbers
        ]
        for start in range(0, len(messages), 50):
            self.receiver.write(encode_messages(messages[start : start + 50]))

    def turn(self, until: Callable[[], bool] = lambda: True) -> None:
        """Takes one turn, and more until the condition holds."""

        def taken() -> bool:
            self.flow.run_once()
            return until()

        wait_until(taken, timeout=20.0, what="the flow")

    @property
    def ledger(self) -> dict[str, int]:
        self.accounts.on_idle(self.spool.events)
        return self.accounts.snapshot

    @property
    def numbers(self) -> list[int]:
        """What is in the spool, by the publisher's own reader."""
        reader = Reader(self.directory)
        reader.open()
        try:
            rows = reader.read(after=0, through=1 << 60, limit=1 << 30).rows
        finally:
            reader.close()
        return [uuid.UUID(row.record.event_id).int & 0xFFFF_FFFF for row in rows]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*, max_bytes: int = 1 << 30) -> Bench:
        for bench in made:
            bench.spool.close()
        made.append(Bench(tmp_path / "spool", max_bytes=max_bytes))
        return made[-1]

    yield make
    for bench in made:
        bench.spool.close()


class TestLateReports:
    """What a process wrote and is read only after its successor was attached."""

    def test_a_barrier_is_answered_to_the_process_that_asked(self, make_bench: Callable[..., Bench]) -> None:
        bench = make_bench()
        old, source = bench.publisher()
        bench.turn()
        source.superseded = True
        new, _ = bench.publisher()
        bench.turn()
        old.report(barrier=1)
        bench.turn()
        assert new.heard("barrier") == []
        new.report(barrier=1)
        bench.turn()
        assert new.heard("barrier") == [{"verb": "barrier", "number": 1}]

    def test_a_barrier_that_the_disk_holds_up_outlives_the_attachment_of_a_successor_for_nobody(
        self, make_bench: Callable[..., Bench]
    ) -> None:
        bench = make_bench()
        bench.receive(range(10))
        old, source = bench.publisher()
        bench.turn(lambda: bench.spool.events == 10)
        with refusing_disk():
            old.seen(range(5))
            old.report(barrier=1)
            bench.turn(lambda: bool(bench.flow.disk_error))
            source.superseded = True
            new, _ = bench.publisher()
            bench.turn()
        bench.turn(lambda: bench.spool.events == 5)
        assert new.heard("barrier") == []

    def test_only_what_is_true_of_rows_counts(self, make_bench: Callable[..., Bench]) -> None:
        bench = make_bench()
        bench.receive(range(30))
        old, source = bench.publisher()
        bench.turn(lambda: bench.spool.events == 30)
        source.superseded = True
        new, _ = bench.publisher()
        new.report(role="standby", reason=None)
        new.report(remember={"positions": {}, "topic_ids": {}, "memory": {**MEMORY, "boost": 1.5}})
        bench.turn(lambda: bench.watch.resume is not None)
        old.report(published=[[1, 10]], seconds=0.1)
        old.seen(range(10, 20))
        old.report(refused={"position": 25, "code": "too_large", "detail": ""})
        old.report(role="publishing", reason="started")
        old.report(remember={"positions": {}, "topic_ids": {}, "memory": MEMORY})
        old.report(compacted=["output"], remedy="")
        old.report(error={"class": "blocked", "code": "tls", "detail": "", "remedy": ""})
        old.write(encode_json(Kind.STATUS, WELL))
        old.end()
        bench.turn(source.ended.is_set)
        bench.turn(lambda: bench.flow.idle)
        assert bench.numbers == list(range(20, 30)), "the successor finds out by itself what Kafka refuses"
        assert (bench.ledger["published"], bench.ledger["settled"], bench.ledger["imbalance"]) == (10, 10, 0)
        watch = bench.watch
        assert watch.resume is not None
        assert watch.resume["memory"]["boost"] == 1.5
        assert (watch.role.role, watch.trouble, watch.compacted, watch.connected) == ("standby", None, None, False)


class TestGrants:
    """A full spool leaves alone what may be in flight, whoever may have it in flight."""

    def test_the_rows_granted_to_a_dead_publisher_are_kept_while_its_successor_is_attached(
        self, make_bench: Callable[..., Bench]
    ) -> None:
        bench = make_bench(max_bytes=MIB)
        self.fill(bench)
        old, source = bench.publisher()
        bench.turn(lambda: bool(old.heard("grant")))
        granted = old.heard("grant")[-1]["through"]
        kept = [n for n in bench.numbers if n <= granted - 1]
        old.end()
        bench.turn(source.ended.is_set)
        new, _ = bench.publisher()
        self.overflow(bench, since=10_000)
        assert [n for n in bench.numbers if n <= granted - 1] == kept
        assert new.heard("grant")[0]["through"] >= granted

    def test_they_are_kept_also_after_the_main_process_was_killed(self, make_bench: Callable[..., Bench]) -> None:
        bench = make_bench(max_bytes=MIB)
        self.fill(bench)
        old, _ = bench.publisher()
        bench.turn(lambda: bool(old.heard("grant")))
        granted = old.heard("grant")[-1]["through"]
        bench = make_bench(max_bytes=MIB)
        kept = [n for n in bench.numbers if n <= granted - 1]
        self.overflow(bench, since=10_000)
        assert [n for n in bench.numbers if n <= granted - 1] == kept

    @staticmethod
    def fill(bench: Bench) -> None:
        bench.receive(range(1_200))
        bench.turn(lambda: bench.ledger["received"] == 1_200)

    @staticmethod
    def overflow(bench: Bench, *, since: int) -> None:
        before = bench.ledger["dropped"]
        bench.receive(range(since, since + 300))
        bench.turn(lambda: bench.ledger["received"] >= 300 and bench.flow.idle)
        assert bench.ledger["dropped"] > before, "the spool is full"
        assert bench.ledger["imbalance"] == 0


@contextmanager
def refusing_disk() -> Iterator[None]:
    """Every write to a file fails and every read works, as on a file system that became read-only."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestRefusingDisk:
    """Whatever the disk does, memory has a bound and the accounts balance."""

    def test_what_was_seen_meanwhile_takes_no_memory_and_leaves_the_spool_afterwards(
        self, make_bench: Callable[..., Bench]
    ) -> None:
        bench = make_bench()
        bench.receive(range(1_000))
        child, _ = bench.publisher()
        bench.turn(lambda: bench.spool.events == 1_000)
        writer = bench.flow._writer
        with refusing_disk():
            child.seen(range(500))
            child.report(published=[[601, 700]], seconds=0.1)
            bench.turn(lambda: writer.removals_pending)
            before = self.kept(bench)
            for first in range(100_000, 150_000, 1_000):
                child.seen(range(first, first + 1_000))
                child.seen(range(500))
                child.report(published=[[601, 700]], seconds=0.1)
                child.report(corrupt=[900])
                bench.turn()
                bench.flow._commit()
            assert self.kept(bench) <= before + 5_000
            bench.receive(range(2_000, 2_010))
            bench.turn(lambda: bench.ledger["dropped"] == 10)
            assert bench.spool.events == 1_000
        bench.turn(lambda: bench.flow.idle)
        assert bench.numbers == [*range(500, 600), *range(700, 899), *range(900, 1_000)]
        ledger = bench.ledger
        assert (ledger["settled"], ledger["published"], ledger["dropped"], ledger["imbalance"]) == (500, 100, 11, 0)

    @staticmethod
    def kept(bench: Bench) -> int:
        """Bytes of the writer's own lists; the window is bounded by time."""
        writer = bench.flow._writer
        return sum(
            sys.getsizeof(each) + sum(map(sys.getsizeof, each))
            for each in (writer._seen, writer._settled, writer._published, writer._corrupt, writer._refused)
        )

    def test_on_a_disk_that_cannot_be_read_either_there_is_a_bound(
        self, make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench = make_bench()
        bench.receive(range(100))
        child, _ = bench.publisher()
        bench.turn(lambda: bench.spool.events == 100)
        monkeypatch.setattr("tie_forwarder.supervisor.writer._MOST_UNPLACED", 2_000)
        monkeypatch.setattr(bench.spool, "positions_of", lambda _: None)

        def see_many() -> None:
            for first in range(0, 10_000, 500):
                child.seen(range(first, first + 500))
                bench.turn()
                bench.flow._commit()

        with refusing_disk(), pytest.raises(OSError, match=r"."):
            see_many()


def test_a_publisher_hears_of_a_gap_before_it_is_granted_what_came_after(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    child, _ = bench.publisher()
    bench.peers.hear(["two"])
    bench.receive(range(5))
    bench.turn(lambda: bool(child.heard("grant")))
    told = [line["verb"] for line in child.told]
    assert told.index("gap") < told.index("grant")
    assert child.heard("gap")[-1] == {"verb": "gap", "number": 1, "open": True}


def test_ranges_are_merged_whatever_their_order() -> None:
    assert merged([]) == []
    assert merged([(5, 6), (1, 2), (3, 3), (8, 9), (5, 5), (8, 12)]) == [(1, 3), (5, 6), (8, 12)]


class Restless:
    """A watch that wants every child replaced as soon as it is asked."""

    def started(self) -> None:
        """Nothing."""

    def reason_to_replace(self) -> Replacement | None:
        return Replacement("exited", "the test wants it so")

    def cannot_start(self, reason: str, remedy: str) -> None:
        raise AssertionError((reason, remedy))


class Plain(Child):
    """A real process that does nothing until it is killed."""

    @property
    def output(self) -> int:
        time.sleep(0.001)  # a switch to the other thread
        return super().output

    def start(self, configuration: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            ["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        os.set_blocking(self.output, False)


def test_children_that_are_killed_all_the_time_never_end_the_flow(make_bench: Callable[..., Bench]) -> None:
    """The flow's thread lets go of the pipes that the main thread closes, and the main thread is the faster one."""
    bench = make_bench()
    failures: list[Exception] = []
    starts: list[str] = []

    def run() -> None:
        try:
            bench.flow.run()
        except Exception as error:  # noqa: BLE001 - the thread's edge
            failures.append(error)

    guards = [
        Guard(
            name=name,
            watch=Restless(),
            attach=attach,
            configuration=dict,
            backoff=Backoff(first_seconds=1e-6, most_seconds=1e-6),
            on_started=starts.append,
            exit_reason=lambda: None,
            make_child=Plain,
        )
        for name, attach in (("receiver", bench.attach_receiver), ("publisher", bench.flow.attach_publisher))
    ]
    thread = threading.Thread(target=run, name="flow")
    thread.start()
    try:
        give_up_at = time.monotonic() + 60.0
        while len(starts) < 500 and not failures and time.monotonic() < give_up_at:
            for guard in guards:
                guard.tick()
    finally:
        for guard in guards:
            guard.finish(0.0)
        bench.flow.stop()
        thread.join(10.0)
    assert failures == []
    assert not thread.is_alive()
    assert len(starts) >= 500
