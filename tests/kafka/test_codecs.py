"""All of Kafka's codecs are read wherever records are read; one that cannot be decoded blocks with its remedy."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.record import default_records

from tests.conftest import MakeForwarder, MakePublisher
from tests.groups.stage import Stage
from tests.harness.check_connect import Site as Trial
from tests.harness.check_connect import reader
from tests.harness.detections import detection, message_id
from tests.harness.forwarder import PROGRAM
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.letters import Site, event_id, letter
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.kafka.test_producer import everything_in
from tie_forwarder.config.producer_options import CODECS, refused_producer_options
from tie_forwarder.demo.certificates import Authority

EVENTS = 40
MODULES = {"snappy": "snappy", "lz4": "lz4", "zstd": "zstandard"}
PACKAGES = ("python-snappy", "lz4", "zstandard")

_HIDE = """
import pathlib, sys
file = pathlib.Path({file!r})
for name in file.read_text().split() if file.exists() else []:
    sys.modules[name] = None
"""
"""Python imports `sitecustomize` by itself; a module that is None there cannot be imported."""


class Hidden:
    """A Python path with which some modules are not installed, until `show`."""

    def __init__(self, directory: Path, *modules: str) -> None:
        directory.mkdir(parents=True)
        self._file = directory / "hidden"
        self._file.write_text(" ".join(modules))
        (directory / "sitecustomize.py").write_text(_HIDE.format(file=str(self._file)))
        self.environment = {"PYTHONPATH": os.pathsep.join((str(directory), os.environ.get("PYTHONPATH", "")))}

    def show(self) -> None:
        """What starts from now on can import them."""
        self._file.unlink()


def put(kafka: KafkaCluster, topic: str, values: Sequence[bytes]) -> None:
    """Records that no forwarder wrote, in one batch, which the broker compresses as the topic says."""
    producer: Any = KafkaProducer(bootstrap_servers=kafka.internal_servers, acks="all", linger_ms=200)
    for future in [producer.send(topic, value, partition=0) for value in values]:
        future.get(timeout=10)
    producer.close()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The codecs that this process has decoded."""
    seen: set[str] = set()

    def watch(codec: str) -> None:
        real = getattr(default_records, f"{codec}_decode")

        def decode(payload: Any) -> Any:
            seen.add(codec)
            return real(payload)

        monkeypatch.setattr(default_records, f"{codec}_decode", decode)

    for codec in CODECS:
        watch(codec)
    return seen


@pytest.mark.parametrize(("topic_has", "producer_has"), list(zip(CODECS, CODECS[1:] + CODECS[:1], strict=True)))
def test_a_group_reads_its_output_in_every_codec_after_a_takeover_and_a_restart(
    topic_has: str, producer_has: str, kafka: KafkaCluster, authority: Authority, tmp_path: Path, decoded: set[str]
) -> None:
    """The broker recompresses first; then the records stay as the producer sends them."""
    topics = Topics.unique(topic_has).create(kafka.administration, configs={"compression.type": topic_has})
    options = {"kafka": {"producer": {"compression_type": producer_has}}}
    with Stage(
        directory=tmp_path, authority=authority, kafka=kafka, names=("a", "b"), rate=100.0, topics=topics,
        options=options,
    ) as stage:  # fmt: skip
        stage.start("a", "b")
        stage.load.start()
        stage.wait_until_well()
        killed = stage.publishing()
        killed.kill_all()
        stage.wait_for_progress()
        kafka.administration.set_topic_config(topics.detection, **{"compression.type": "producer"})
        stage.wait_for_progress()
        killed.start()
        stage.wait_until_well()
        assert killed.role == "standby"
        stage.finish().assert_exactly_once(in_order=False)
    everything_in(kafka, topics.detection)
    assert decoded == {topic_has, producer_has}


@pytest.mark.parametrize("codec", CODECS)
def test_the_commands_read_every_codec(
    codec: str, kafka: KafkaCluster, tmp_path: Path, decoded: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    topics = Topics.unique(codec).create(kafka.administration, configs={"compression.type": codec})
    site = Site(directory=tmp_path, kafka=kafka, topics=topics)
    site.config["kafka"]["producer"] = {"compression_type": codec}
    letters = [letter(number, detection(number, agent=number)) for number in range(3)]
    site.write(letters)
    assert site.run("dead-letters") == 0
    assert decoded == {codec}
    assert site.run("replay") == 0
    assert {record.event_id for record in site.records(topics.detection)} == {event_id(number) for number in range(3)}
    assert site.run("replay") == 0, "its own markers are read"
    assert len(site.markers()) == 3
    capfd.readouterr()
    assert site.run("tail", "--kafka", "--from-beginning", "--topic", topics.detection, "--count", "3") == 0
    assert capfd.readouterr().out.count("agentGuid") == 3
    assert site.run("find", event_id(1)) == 0
    assert topics.detection in capfd.readouterr().out


def test_a_codec_that_cannot_be_decoded_blocks_with_its_remedy_and_keeps_everything(
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    tmp_path: Path,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    members, hidden = [], []
    for codec, module in MODULES.items():
        topics = Topics.unique(codec).create(kafka.administration, configs={"compression.type": codec})
        put(kafka, topics.detection, [b"foreign" * 20] * 3)
        hidden.append(Hidden(tmp_path / f"without-{codec}", module))
        members.append(
            make_forwarder(
                fabric=mosquitto, kafka=kafka, topics=topics, name=codec, environment=hidden[-1].environment
            )
        )  # fmt: skip
    for member in members:
        member.start(wait_ready=False)
    for member in members:
        member.wait_ready()
    make_publisher(mosquitto).publish_detections(range(EVENTS))
    for member in members:
        member.wait_until(lambda f: f.status()["reason"] == "unsupported_codec", timeout=20.0, what="blocked")
        status = member.status()
        assert status["state"] == "blocked"
        assert member.name in status["problems"][0]["detail"]
        assert all(package in status["remedy"] for package in PACKAGES)
        member.wait_until(lambda f: f.ledger()["in_spool"] == EVENTS, timeout=10.0, what="all in the spool")
        assert member.get("/readyz")[0] == 200
    for each in hidden:
        each.show()
    for member in members:
        member.wait_until(
            lambda f: f.ledger()["published"] == EVENTS and f.status()["state"] == "ok", timeout=30.0, what="published"
        )
        assert member.ledger()["imbalance"] == 0
        numbers = {record.headers.get("ce_id") for record in _ours(kafka, member.config["kafka"]["topics"])}
        assert numbers == {message_id(number).strip("{}") for number in range(EVENTS)}


def _ours(kafka: KafkaCluster, topics: dict[str, str]) -> list[Any]:
    judge = Judge(bootstrap_servers=kafka.internal_servers, topics=Topics(**topics))
    return [record for record in judge.read(topics["detection"]) if "ce_id" in record.headers]


def test_a_command_without_the_library_says_what_to_install(kafka: KafkaCluster, tmp_path: Path) -> None:
    topics = Topics.unique().create(kafka.administration, configs={"compression.type": "zstd"})
    put(kafka, topics.detection, [b"foreign" * 20])
    hidden = Hidden(tmp_path / "without", "zstandard")
    site = Site(directory=tmp_path, kafka=kafka, topics=topics)
    arguments = site.arguments("tail", "--kafka", "--from-beginning", "--topic", topics.detection, "--count", "1")
    done = subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, **hidden.environment},
    )  # fmt: skip
    assert done.returncode == 1
    assert "zstd" in done.stderr
    assert "zstandard" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_check_reads_each_topics_codec_and_kind_of_timestamp(
    kafka: KafkaCluster,
    mosquitto: Mosquitto,
    make_forwarder: MakeForwarder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    topics = Topics.unique().create(kafka.administration, configs={"compression.type": "zstd"})
    kafka.administration.set_topic_config(
        topics.dead_letter, **{"compression.type": "producer", "message.timestamp.type": "LogAppendTime"}
    )
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
    site = Trial(forwarder.config, forwarder.config_file, reader(capsys))
    site.config["kafka"]["producer"] = {"compression_type": "lz4"}
    answer = site.check()
    assert (answer.exit_code, answer.of_state("failed")) == (0, [])
    assert answer.line("topic.compression", topics.detection)[:2] == (
        "ok", "compression.type=zstd: this installation can decode it",
    )  # fmt: skip
    assert "kafka.producer says lz4" in answer.line("topic.compression", topics.dead_letter).found
    line = answer.line("topic.timestamps", topics.dead_letter)
    assert line.state == "warning"
    assert "CreateTime" in line.remedy
    assert answer.line("topic.timestamps", topics.detection).state == "ok"
    for name, value in Hidden(tmp_path / "without", "zstandard").environment.items():
        monkeypatch.setenv(name, value)
    answer = site.check()
    assert (answer.exit_code, set(answer.of_state("failed"))) == (1, {"topic.compression"})
    line = answer.line("topic.compression", topics.detection)
    assert "zstandard" in line.remedy
    assert answer.line("topic.compression", topics.dead_letter).state == "ok"
    site.config["kafka"]["delivery"] = "at_least_once"
    answer = site.check()
    assert (answer.exit_code, answer.line("topic.compression", topics.detection).state) == (0, "warning")
    assert answer.line("topic.timestamps", topics.dead_letter).state == "ok"


def test_names_of_codecs_are_checked() -> None:
    for codec in (*CODECS, None):
        assert refused_producer_options({"compression_type": codec}) == {}
    told = {
        str(value): refused_producer_options({"compression_type": value})["compression_type"][1]
        for value in ("zstdd", "LZ4", "none", "", 3)
    }
    assert told == {
        "zstdd": "did you mean zstd?",
        "LZ4": "did you mean lz4?",
        **dict.fromkeys(("none", "", "3"), "give gzip, snappy, lz4, zstd, or remove it for no compression"),
    }
