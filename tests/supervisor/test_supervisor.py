"""The supervisor's parts: each judged by facts, with a clock that is moved by hand and with real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client import CollectorRegistry

from tests.data.payloads import message
from tests.harness.clock import Clock
from tests.harness.server_process import is_gone
from tests.harness.waiting import wait_until
from tie_forwarder.backoff import Backoff
from tie_forwarder.errors import ForwarderError
from tie_forwarder.processes.child import Child
from tie_forwarder.processes.frames import Kind
from tie_forwarder.status.metrics import Metrics
from tie_forwarder.supervisor.accounts import Accounts, Ledger
from tie_forwarder.supervisor.guard import Guard, Restart, Source
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_watch import Replacement
from tie_forwarder.supervisor.signals import Wishes, captured_signals
from tie_forwarder.supervisor.stall import StallWatch
from tie_forwarder.supervisor.systemd import Notifier


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Verdicts:
    """A watch that says what it was told to say."""

    def __init__(self) -> None:
        self.replacement: Replacement | None = None
        self.starts = 0
        self.refusals: list[tuple[str, str]] = []

    def started(self) -> None:
        self.starts += 1
        self.replacement = None

    def reason_to_replace(self) -> Replacement | None:
        return self.replacement

    def cannot_start(self, reason: str, remedy: str) -> None:
        self.refusals.append((reason, remedy))


class Bench:
    """A guard on sample children, whose pipes a thread reads as the flow does."""

    def __init__(
        self,
        behaviour: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_frame: Callable[[Kind, bytes], None] | None = None,
    ) -> None:
        self.behaviour = behaviour
        self.watch = Verdicts()
        self.starts: list[str] = []
        self.frames: list[tuple[Kind, bytes]] = []
        self.refusal: Exception | None = None
        self._on_frame = on_frame or (lambda kind, body: self.frames.append((kind, body)))
        self.guard = Guard(
            name="sample",
            watch=self.watch,
            attach=self._attach,
            configuration=self._configuration,
            backoff=Backoff(first_seconds=0.2, most_seconds=5.0, uniform=lambda low, high: 1.0),
            on_started=self.starts.append,
            exit_reason=lambda: None,
            make_child=lambda name: Child(name, module="tests.harness.sample_child"),
            monotonic=clock,
        )

    def until(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            self.guard.tick()
            return condition()

        wait_until(holds, timeout=10.0, what=what)

    def until_settled(self) -> psutil.Process:
        """Ticks until the child has said that it has behaved; the child."""
        before = len(self.frames)
        self.until(lambda: len(self.frames) > before, "the child's status")
        return psutil.Process(self.guard.pid)

    def _configuration(self) -> dict[str, Any]:
        if self.refusal is not None:
            raise self.refusal
        return {"log_level": "error", "behaviour": self.behaviour}

    def source_of(self, child: Child) -> Source:
        return Source(child=child, on_frame=lambda _, kind, body: self._on_frame(kind, body))

    def _attach(self, child: Child) -> Source:
        source = self.source_of(child)
        threading.Thread(target=read_until_ended, args=(source,), daemon=True).start()
        return source


def read_until_ended(source: Source) -> None:
    while source.read():
        time.sleep(0.005)
    source.ended.set()


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*arguments: Any, **more: Any) -> Bench:
        made.append(Bench(*arguments, **more))
        return made[-1]

    yield make
    for bench in made:
        bench.guard.finish(0.0)


class TestGuard:
    def test_a_child_that_dies_is_replaced_with_its_reason(self, make_bench: Callable[..., Bench]) -> None:
        bench = make_bench("echo")
        first = bench.until_settled()
        first.kill()
        second = bench.until_settled()
        assert second.pid != first.pid
        assert bench.starts == ["start", "exited"]
        assert bench.guard.last_restart == Restart("exited", "the process ended with code -9")

    @pytest.mark.parametrize(
        ("behaviour", "body"), [("garbage", b""), ("echo", b"[]"), ("echo", b"[" * 100_000), ("echo", b"\xff")]
    )
    def test_a_child_that_writes_what_makes_no_sense_is_replaced(
        self, behaviour: str, body: bytes, make_bench: Callable[..., Bench]
    ) -> None:
        bench = make_bench(behaviour, on_frame=lambda kind, _: json.loads(body)["phase"])
        bench.until(lambda: len(bench.starts) >= 2, "the replacement")
        assert bench.starts[1] == "error"
        assert bench.guard.last_restart is not None
        assert "no frame" in bench.guard.last_restart.text

    def test_a_child_that_is_stopped_is_ended_when_its_watch_says_so(self, make_bench: Callable[..., Bench]) -> None:
        bench = make_bench("echo")
        first = bench.until_settled()
        first.suspend()
        bench.watch.replacement = Replacement("heartbeat_late", "no sign of life")
        bench.until_settled()
        assert is_gone(first)
        assert bench.starts == ["start", "heartbeat_late"]

    def test_the_delay_grows_while_it_fails_and_is_short_again_once_it_has_done_its_work(
        self, make_bench: Callable[..., Bench], clock: Clock
    ) -> None:
        bench = make_bench("exit", clock=clock)

        def delay() -> float:
            starts = len(bench.starts)
            bench.until(lambda: bench.guard.pid == 0, "its end")
            before = clock.now
            while len(bench.starts) == starts:
                clock.now += 0.05
                bench.guard.tick()
            return clock.now - before

        bench.guard.tick()
        assert [round(delay(), 1) for _ in range(6)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0], abs=0.11)
        bench.guard.prosper()
        assert delay() == pytest.approx(0.2, abs=0.11)

    @pytest.mark.parametrize(
        ("refusal", "told"),
        [
            (ForwarderError("it cannot be read", remedy="mend it"), ("it cannot be read", "mend it")),
            (BlockingIOError(11, "Resource temporarily unavailable"), None),
        ],
    )  # fmt: skip
    def test_one_that_cannot_be_started_is_tried_again_and_ends_nobody(
        self, refusal: Exception, told: tuple[str, str] | None, make_bench: Callable[..., Bench]
    ) -> None:
        bench = make_bench("echo")
        bench.refusal = refusal
        bench.until(lambda: len(bench.watch.refusals) == 2, "two attempts")
        assert bench.guard.pid == 0
        assert told in (None, bench.watch.refusals[0])
        bench.refusal = None
        bench.until_settled()

    def test_a_new_configuration_starts_it_anew_at_once_and_lets_it_hand_over_first(
        self, make_bench: Callable[..., Bench]
    ) -> None:
        bench = make_bench("echo")
        first = bench.until_settled()
        bench.guard.replace("reload", "its configuration has changed")
        assert is_gone(first)
        assert b'"stop"' in bench.frames[-1][1], "it was asked, and everything it said was read"
        bench.guard.tick()
        assert bench.starts == ["start", "reload"]

    def test_one_that_will_not_end_is_ended_after_the_time_or_when_there_is_no_more_time(
        self, make_bench: Callable[..., Bench]
    ) -> None:
        for timeout, give_up in ((0.2, False), (30.0, True)):
            bench = make_bench("stubborn")
            child = bench.until_settled()
            started = time.monotonic()
            bench.guard.ask_to_stop()
            bench.guard.finish(timeout, give_up=lambda give_up=give_up: give_up)  # type: ignore[misc]
            assert time.monotonic() - started < 2.0
            assert is_gone(child)

    def test_a_pipe_that_the_flow_has_not_read_to_its_end_stays_open_for_it(
        self, make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tie_forwarder.supervisor.guard._DRAIN_PIPE_SECONDS", 0.1)
        held: list[Source] = []

        def attach(bench: Bench, child: Child) -> Source:
            held.append(bench.source_of(child))
            return held[-1]

        monkeypatch.setattr(Bench, "_attach", attach)
        bench = make_bench("chatter")
        bench.until(lambda: len(bench.starts) >= 2, "the replacement")
        assert held[0].superseded
        read_until_ended(held[0])
        assert len(bench.frames) == 1_000
        read_until_ended(held[1])


class TestPublisherWatch:
    """What it has in common with the receiver's; the rest belongs to the publisher's tests."""

    @pytest.fixture
    def watch(self, clock: Clock) -> PublisherWatch:
        return PublisherWatch(first_role="standby", monotonic=clock, now=clock)

    def test_silence_counts_only_while_we_listen(self, watch: PublisherWatch, clock: Clock) -> None:
        watch.on_status({"connected": True, "waiting_seconds": 0.0, "trouble": None, "progress": 1, "batch_rows": 200})
        clock.now += 100.0
        assert watch.reason_to_replace() is None
        watch.on_listened()
        replacement = watch.reason_to_replace()
        assert replacement is not None
        assert replacement.reason == "heartbeat_late"

    def test_what_keeps_it_from_being_started_is_a_trouble_until_records_are_taken(self, watch: PublisherWatch) -> None:
        watch.cannot_start("password_file cannot be read", "mend it")
        assert watch.trouble is not None
        assert (watch.trouble.error_class, watch.trouble.remedy) == ("blocked", "mend it")
        watch.started()
        assert watch.trouble is not None
        watch.on_published()
        assert watch.trouble is None


class TestStallWatch:
    def test_a_loop_that_stands_still_for_all_its_looks_is_named(self, clock: Clock) -> None:
        watch = StallWatch(ticks={"flow": lambda: 1.0, "main": clock}, patience_looks=3)
        found = []
        for _ in range(5):
            clock.now += 1.0
            found.append(watch.look())
        assert found == [[], [], [], ["flow"], ["flow"]]

    def test_a_process_that_was_stopped_as_a_whole_is_given_time_again(self, clock: Clock) -> None:
        watch = StallWatch(ticks={"flow": clock}, patience_looks=30)
        watch.look()
        clock.now += 1e6
        assert watch.look() == []


class TestNotifier:
    @pytest.fixture
    def manager(self, tmp_path: Path) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)
            yield manager

    @staticmethod
    def told(manager: socket.socket) -> list[str]:
        lines = []
        while True:
            try:
                lines += manager.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines

    def test_says_each_thing_once(self, manager: socket.socket) -> None:
        notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
        for _ in range(3):
            notifier.status("ok")
            notifier.ready()
        notifier.reloading()
        notifier.ready_again()
        notifier.stopping(within_seconds=50)
        told = [line for line in self.told(manager) if not line.startswith("MONOTONIC_USEC=")]
        assert told == [
            "STATUS=ok", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1", "EXTEND_TIMEOUT_USEC=50000000",
        ]  # fmt: skip

    def test_asks_for_time_until_it_is_ready(self, manager: socket.socket) -> None:
        notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
        notifier.starting()
        notifier.starting()
        assert self.told(manager) == ["EXTEND_TIMEOUT_USEC=60000000"]
        notifier.ready()
        notifier._extended_at -= 100.0
        notifier.starting()
        assert self.told(manager) == ["READY=1"]

    def test_feeds_a_watchdog_that_is_meant_for_it_three_times_a_period(self, manager: socket.socket) -> None:
        address = manager.getsockname()
        for environ, expected in (
            ({"WATCHDOG_USEC": "30000000"}, ["WATCHDOG=1"]),
            ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, []),
            ({"WATCHDOG_USEC": "rubbish"}, []),
            ({}, []),
        ):
            notifier = Notifier({"NOTIFY_SOCKET": address, **environ})
            for _ in range(3):
                notifier.alive()
            assert self.told(manager) == expected
            notifier._fed_at -= 10.1
            notifier.alive()
            assert self.told(manager) == expected

    def test_a_manager_that_is_gone_or_does_not_read_hurts_nobody(self, manager: socket.socket, tmp_path: Path) -> None:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()
        Notifier({}).ready()
        notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
        started = time.monotonic()
        for number in range(2_000):
            notifier.status(f"{number}")
        assert time.monotonic() - started < 2.0


class TestSignals:
    def test_the_first_asks_and_the_second_presses_and_all_wake_at_once(self) -> None:
        wishes = Wishes()
        before = signal.getsignal(signal.SIGTERM)
        with captured_signals(wishes):
            for number, expected in (
                (signal.SIGHUP, (False, False, True)),
                (signal.SIGTERM, (True, False, True)),
                (signal.SIGINT, (True, True, True)),
                (signal.SIGTERM, (True, True, True)),
            ):
                os.kill(os.getpid(), number)
                started = time.monotonic()
                wishes.wait(5.0)
                assert time.monotonic() - started < 1.0
                assert (wishes.stop, wishes.stop_now, wishes.reload) == expected
        assert signal.getsignal(signal.SIGTERM) is before


class TestLedger:
    def test_balances_whatever_an_event_becomes(self) -> None:
        ledger = Ledger(in_spool_at_start=10)
        ledger.received, ledger.published, ledger.settled = 100, 60, 15
        ledger.dropped, ledger.duplicate, ledger.filtered = 5, 3, 7
        assert ledger.snapshot(20)["imbalance"] == 0

    @pytest.mark.parametrize(("in_spool", "imbalance"), [(9, 1), (11, -1)])
    def test_is_out_by_what_vanished_or_doubled_unseen(self, in_spool: int, imbalance: int) -> None:
        assert Ledger(received=10).snapshot(in_spool)["imbalance"] == imbalance


class TestAccounts:
    @pytest.fixture
    def accounts(self, clock: Clock) -> Accounts:
        metrics = Metrics(CollectorRegistry(), kinds=["detection"], topics=["output"])
        return Accounts(metrics=metrics, topics={"detection": "output"}, now=clock)

    @staticmethod
    def status(received: int, dropped: int) -> dict[str, Any]:
        return {"received": received, "dropped": dropped, "canary_round_trips": [], "phase": "receiving"}

    @staticmethod
    def sample(accounts: Accounts, name: str, **labels: str) -> float | None:
        return accounts._metrics.registry.get_sample_value(f"tie_forwarder_{name}", labels)

    def test_what_the_receiver_dropped_was_received_and_is_lost(self, accounts: Accounts) -> None:
        account = accounts.open_receiver()
        account.on_status(self.status(100, 30))
        account.on_status(self.status(200, 30))
        accounts.on_idle(0)
        assert (accounts.snapshot["received"], accounts.snapshot["dropped"]) == (30, 30)
        assert accounts.snapshot["imbalance"] == 0
        assert self.sample(accounts, "events_dropped_total", reason="receiver_queue_full") == 30
        assert self.sample(accounts, "events_received_total", kind="unknown") == 30
        assert accounts.last_drop_reason == "receiver_queue_full"

    def test_what_a_receiver_had_in_its_hands_at_its_end_is_lost_and_counted(self, accounts: Accounts) -> None:
        account = accounts.open_receiver()
        account.on_status(self.status(100, 10))
        account.on_messages([message(b"")] * 60)
        account.close()
        accounts.open_receiver().on_status(self.status(5, 0))
        accounts.on_idle(0)
        assert self.sample(accounts, "events_dropped_total", reason="receiver_lost") == 30
        assert accounts.snapshot["dropped"] == 40
        assert accounts.snapshot["imbalance"] == 0

    def test_frames_that_come_late_or_next_to_those_of_a_successor_count_once(self, accounts: Accounts) -> None:
        old, new = accounts.open_receiver(), accounts.open_receiver()
        old.on_status(self.status(100, 0))
        new.on_status(self.status(7, 0))
        new.on_messages([message(b"")] * 7)
        old.on_messages([message(b"")] * 90)
        new.on_status(self.status(9, 0))
        old.on_messages([message(b"")] * 6)
        old.close()
        accounts.on_idle(0)
        assert self.sample(accounts, "events_dropped_total", reason="receiver_lost") == 4
        assert (accounts.snapshot["received"], accounts.snapshot["dropped"]) == (4, 4)

    def test_what_a_successor_held_is_lost_only_if_it_had_been_promoted(self, accounts: Accounts) -> None:
        is_successor = True
        account = accounts.open_receiver(is_successor=lambda: is_successor)
        account.on_status({**self.status(50, 0), "holding": True})
        account.close()
        accounts.on_idle(0)
        assert accounts.snapshot["received"] == accounts.snapshot["dropped"] == 0
        account = accounts.open_receiver(is_successor=lambda: is_successor)
        account.on_status({**self.status(50, 0), "holding": True})
        is_successor = False
        account.close()
        accounts.on_idle(0)
        assert accounts.snapshot["received"] == accounts.snapshot["dropped"] == 50

    def test_a_connection_is_counted_once_for_each_receiver(self, accounts: Accounts) -> None:
        receivers = [accounts.open_receiver() for _ in range(2)]
        for _ in range(2):
            for account in receivers:
                account.on_status(self.status(1, 0))
        assert self.sample(accounts, "dxl_connects_total") == 2
