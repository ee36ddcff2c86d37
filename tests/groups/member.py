"""One member on a stage: its forwarder, its fabric and its feed.

Owns: what can be done to it, and what it says of itself. Must not: judge.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.groups.feeds import Feed
from tests.harness.forwarder import Forwarder, Part
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.server_process import is_gone, is_stopped
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority

PARTS: tuple[Part, ...] = ("main", "receiver", "publisher")
_CLOCK = Path(__file__).with_name("clock")


class Member(Forwarder):
    """A forwarder with a fabric of its own, so that what it hears can be chosen. The fabric and the feed run always."""

    def __init__(
        self,
        *,
        name: str,
        directory: Path,
        authority: Authority,
        kafka: KafkaCluster,
        topics: Topics,
        options: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.fabric = Mosquitto(directory=directory / f"fabric-{name}", authority=authority)
        self.feed = Feed(fabric=self.fabric, name=name)
        super().__init__(
            directory=directory / name,
            dxl_config=self.fabric.client_config(name),
            bootstrap_servers=kafka.bootstrap_servers,
            topics=topics,
            name=name,
            options=options,
            environment={"PYTHONPATH": os.pathsep.join(filter(None, (str(_CLOCK), os.environ.get("PYTHONPATH"))))},
        )

    def set_clock(self, offset_seconds: float) -> None:
        """From its next start the member's wall clock is off by so much."""
        self._environment["CLOCK_OFFSET_SECONDS"] = str(offset_seconds)

    def step_clock(self, offset_seconds: float) -> None:
        """From now on the member's wall clock is off by so much; it must have been called before the start as well."""
        file = self.directory / "clock-offset"
        self.directory.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(str(offset_seconds), encoding="ascii")
        new.replace(file)
        self._environment["CLOCK_OFFSET_FILE"] = str(file)

    @property
    def role(self) -> str:
        """What it says it is; empty when it does not answer."""
        try:
            return str(self.status()["group"]["role"])
        except (OSError, ValueError, KeyError):
            return ""

    @property
    def in_spool(self) -> int:
        """How many events wait in its spool; -1 when it does not answer."""
        try:
            return self.ledger()["in_spool"]
        except (OSError, ValueError, KeyError):
            return -1

    @property
    def well(self) -> bool:
        """Whether it answers, receives, and is connected to Kafka."""
        try:
            status = self.status()
        except (OSError, ValueError):
            return False
        return bool(status["receiver"]["ready"] and status["publisher"]["connected"])

    def lost_with_receivers(self) -> int:
        """How many events ended with a receiver that was killed while it held them."""
        return int(self.metrics()['tie_forwarder_events_dropped_total{reason="receiver_lost"}'])

    def suspend(self, *parts: Part) -> list[psutil.Process]:
        """Stops these processes with SIGSTOP and returns them, for `wake`."""
        stopped = [self.part(part) for part in parts]
        for process in stopped:
            process.suspend()
        for process in stopped:
            wait_until(
                lambda p=process: is_gone(p) or is_stopped(p.pid),  # type: ignore[misc]
                timeout=10.0,
                what=f"{self.name} stopped",
            )
        return stopped

    def cpu_seconds(self) -> dict[str, float]:
        """The CPU time that each process has used."""
        return {part: sum(self.part(part).cpu_times()[:2]) for part in PARTS}

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log with this event, over all its starts."""
        lines = []
        for line in self.log().splitlines():
            with suppress(json.JSONDecodeError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("event") == event:
                    lines.append(entry)
        return lines


def wake(stopped: list[psutil.Process]) -> None:
    """Lets stopped processes go on; those that were killed meanwhile are passed over."""
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.resume()
