"""The two that are compared: the bare sample and the forwarder, each from a flood of detections to its last one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from tests.harness.forwarder import Forwarder, Part
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import FabricPublisher
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics

Delivery = Literal["at_least_once", "exactly_once"]
PARTS: tuple[Part, ...] = ("receiver", "main", "publisher")
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Result:
    """One run: events a second from the first one sent to the last one done, and what each process needed for it."""

    rate: float
    cpu_seconds: dict[str, float]
    resident_megabytes: dict[str, float]


def run_sample(*, fabric: Mosquitto, packets: Sequence[bytes], name: str) -> Result:
    """The sample callback that does nothing, until it has been called for every detection."""
    command = [sys.executable, "-m", "tests.bench.sample", str(fabric.client_config(name)), str(len(packets))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            watched = psutil.Process(process.pid)
            before = cpu_seconds(watched)
            started = time.monotonic()
            _flood(fabric, packets, name)
            assert process.stdout.readline() == "done\n"
            seconds = time.monotonic() - started
            cpu, resident = cpu_seconds(watched) - before, watched.memory_info().rss / 1e6
        finally:
            process.kill()
    return Result(len(packets) / seconds, {"sample": cpu}, {"sample": resident})


def run_forwarder(
    *, fabric: Mosquitto, kafka: KafkaCluster, packets: Sequence[bytes], name: str, delivery: Delivery, directory: Path
) -> Result:
    """The forwarder, until Kafka has acknowledged every detection and the spool is settled."""
    topics = Topics.unique().create(kafka.administration)
    forwarder = Forwarder(
        directory=directory / name,
        dxl_config=fabric.client_config(name),
        bootstrap_servers=kafka.bootstrap_servers,
        topics=topics,
        name=name,
        options={"kafka": {"delivery": delivery}},
    )
    try:
        forwarder.start()
        forwarder.wait_until(lambda f: f.status()["group"]["role"] == "publishing", timeout=30.0)
        processes = {part: forwarder.part(part) for part in PARTS}
        before = {part: cpu_seconds(process) for part, process in processes.items()}
        started = time.monotonic()
        _flood(fabric, packets, f"{name}-load")
        _wait_for(len(packets), forwarder, started)
        seconds = time.monotonic() - started
        cpu: dict[str, float] = {part: cpu_seconds(process) - before[part] for part, process in processes.items()}
        resident: dict[str, float] = {part: process.memory_info().rss / 1e6 for part, process in processes.items()}
        ledger = forwarder.ledger()
        assert ledger["imbalance"] == 0, ledger
        assert ledger["published"] == len(packets), ledger
    finally:
        forwarder.discard()
    return Result(len(packets) / seconds, cpu, resident)


def _wait_for(number: int, forwarder: Forwarder, started: float) -> None:
    """Asks the less often the longer it will take, since each question costs the main process a millisecond."""
    while True:
        published, seconds = forwarder.ledger()["published"], time.monotonic() - started
        if published >= number:
            return
        if seconds > _PATIENCE_SECONDS:
            raise TimeoutError(f"only {forwarder.ledger()}")
        left = (number - published) / published * seconds if published else 0.0
        time.sleep(min(max(0.02, left / 3), 0.5))


def _flood(fabric: Mosquitto, packets: Sequence[bytes], name: str) -> None:
    with FabricPublisher(fabric=fabric, name=f"{name}-flood") as publisher:
        publisher.send(packets)


def cpu_seconds(process: psutil.Process) -> float:
    """What the process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)
