"""Dead letters as a member of a group has published them, and a configuration by which the verbs find them.

Owns: what stands in the dead-letter topic before a test looks at it. Must not: use what reads or replays it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from kafka import KafkaProducer

from tests.harness.detections import DETECTION_TOPIC, message_id
from tests.harness.judge import Judge, Record
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.topics import Topics
from tie_forwarder.cli import invoke
from tie_forwarder.events.message import Message
from tie_forwarder.events.reasons import Reason
from tie_forwarder.records.dead_letter import render_dead_letter
from tie_forwarder.records.record import Record as Written


def event_id(number: int) -> str:
    """The id of the letter of this number."""
    return message_id(number).strip("{}")


def letter(
    number: int,
    payload: bytes,
    *,
    reason: Reason = Reason.INTERNAL_ERROR,
    detail: str = "KeyError in decode",
    topic: str = DETECTION_TOPIC,
    received_at_ms: int | None = None,
) -> Written:
    """A dead letter of today, as intake makes it."""
    at = time.time_ns() // 1_000_000 if received_at_ms is None else received_at_ms
    message = Message(message_id(number), topic, "{client}", "{broker}", payload, at)
    return render_dead_letter(message, event_id=event_id(number), reason=reason, detail=detail)


class Site:
    """One configuration in one Kafka, and the verbs run with it."""

    def __init__(self, *, directory: Path, kafka: KafkaCluster, topics: Topics) -> None:
        self.kafka = kafka
        self.topics = topics
        self.judge = Judge(bootstrap_servers=kafka.internal_servers, topics=topics)
        self.group = topics.detection
        self.config: dict[str, Any] = {
            "kafka": {"bootstrap_servers": list(kafka.bootstrap_servers), "topics": topics.configuration()},
            "group": {"name": self.group},
        }
        self._file = directory / "config.yaml"

    def write(self, letters: Sequence[Written], *, partition: int = 0) -> None:
        """Puts letters into the topic, as a member does."""
        self.write_raw([(each.value, [*each.headers, ("ce_forwarder", b"a")], each.received_at_ms) for each in letters],
                       partition=partition)  # fmt: skip

    def write_raw(
        self, records: Sequence[tuple[bytes, Sequence[tuple[str, bytes]], int]], *, partition: int = 0
    ) -> None:
        """Puts anything into the dead-letter topic: value, headers, timestamp."""
        producer: Any = KafkaProducer(bootstrap_servers=self.kafka.internal_servers, acks="all")
        sent = [
            producer.send(self.topics.dead_letter, value, headers=list(headers), timestamp_ms=at, partition=partition)
            for value, headers, at in records
        ]
        for future in sent:
            future.get(timeout=10)
        producer.close()

    def arguments(self, verb: str, *more: str) -> list[str]:
        """The command line of a verb with this configuration, which is written first."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(yaml.safe_dump(self.config), encoding="utf-8")
        return [verb, "--config", str(self._file), *more]

    def run(self, verb: str, *more: str) -> int:
        """Runs a verb in this process; its exit code."""
        return invoke(self.arguments(verb, *more))

    def start(self, verb: str, *more: str, **options: Any) -> subprocess.Popen[str]:
        """Runs a verb in a process of its own."""
        command = [sys.executable, "-m", "tie_forwarder", *self.arguments(verb, *more)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def records(self, topic: str, keep: Callable[[Mapping[str, str]], bool] = lambda _: True) -> list[Record]:
        """What readers see in a topic, by the headers that count."""
        return [record for record in self.judge.read(topic) if keep(record.headers)]

    def markers(self) -> list[Record]:
        """The markers of replays."""
        return self.records(self.topics.dead_letter, lambda headers: "replayed_at" in headers)
