"""What standing by costs: the share of a core that a standby needs at a steady rate, beside that of the bare sample."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.bench.contestants import PARTS, cpu_seconds
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import FabricPublisher, encode_detections
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics

RATE = 500
_SETTLING_SECONDS = 5
_MEASURED_SECONDS = 20


class Standby(NamedTuple):
    """Shares of a core."""

    parts: dict[str, float]
    """By process of the standby."""
    sample: float
    """The bare sample at the same rate and time."""

    @property
    def whole(self) -> float:
        """All its processes."""
        return sum(self.parts.values())


def measure_standby(*, fabric: Mosquitto, kafka: KafkaCluster, directory: Path) -> Standby:
    """One member publishes, one stands by, and the sample listens; measured once all have settled down."""
    topics = Topics.unique().create(kafka.administration)
    members = [
        Forwarder(
            directory=directory / name,
            dxl_config=fabric.client_config(name),
            bootstrap_servers=kafka.bootstrap_servers,
            topics=topics,
            name=name,
        )
        for name in ("publishing", "standby")
    ]
    count = RATE * (_SETTLING_SECONDS + _MEASURED_SECONDS) + 1
    command = [sys.executable, "-m", "tests.bench.sample", str(fabric.client_config("standby-sample")), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sample:
        try:
            assert sample.stdout is not None
            assert sample.stdout.readline() == "ready\n"
            first, second = members
            packets = encode_detections(range(count))
            with FabricPublisher(fabric=fabric, name="standby-load") as publisher:
                first.start()
                publisher.send(packets[:1])  # whoever is the newest in the output publishes
                first.wait_until(lambda f: f.ledger()["published"] == 1, timeout=30.0)
                second.start()
                watched = {part: second.part(part) for part in PARTS} | {"sample": psutil.Process(sample.pid)}
                shares = _shares_under_load(publisher, watched, packets[1:])
            second.wait_until(lambda f: f.ledger()["settled"] == count - 1, timeout=30.0, what="all settled")
        finally:
            sample.kill()
            for member in members:
                member.discard()
    return Standby({part: shares[part] for part in PARTS}, shares["sample"])


def _shares_under_load(
    publisher: FabricPublisher, watched: dict[str, psutil.Process], packets: list[bytes]
) -> dict[str, float]:
    settling = RATE * _SETTLING_SECONDS
    publisher.send(packets[:settling], rate=RATE)
    before, started = {name: cpu_seconds(process) for name, process in watched.items()}, time.monotonic()
    publisher.send(packets[settling:], rate=RATE)
    seconds = time.monotonic() - started
    return {name: (cpu_seconds(process) - before[name]) / seconds for name, process in watched.items()}
