"""docs/consumers.md does what it says: every example is taken from the text and run against a real Kafka.

Logstash and Vector are not run, since neither can be had from a package registry: their snippets are parsed, and held
against what a record has and what librdkafka takes.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
import yaml
from kafka import KafkaProducer

from tests.data.records import record_of
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.tools import ConnectWorker, ToolsInstallation
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.config.kafka import Topics as DefaultTopics
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.message import Message
from tie_forwarder.records.record import Record

PAGE = Path(__file__).parents[2] / "docs" / "consumers.md"
DATA = Path(__file__).parents[1] / "data"
SERVER = "localhost:9092"
RECEIVED_MS = 1795499438833
EVENTS = 4
SHA256 = "414bb16b10ece2db2d8448cb9f313f80cb77c310ca0c19ee03c73cba0c16fedb"


@dataclass(frozen=True)
class Block:
    """A fenced block of the page."""

    heading: str
    language: str
    text: str


def blocks() -> list[Block]:
    heading, found = "", []
    for match in re.finditer(
        r"^#+ ([^\n]+)$|^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        if match[1]:
            heading = match[1]
        else:
            found.append(Block(heading, match[2], match[3]))
    return found


def block(heading: str, language: str) -> str:
    (found,) = [each.text for each in blocks() if (each.heading, each.language) == (heading, language)]
    return found


def message_id(number: int) -> str:
    return str(uuid.UUID(int=4711 + number))


def rendered(kind: str, number: int, **changes: Any) -> Record:
    payload = json.dumps({**json.loads((DATA / f"{kind}.json").read_bytes().rstrip(b"\0")), **changes}).encode()
    message = Message(f"{{{message_id(number)}}}", KINDS[kind].topic, "", "", payload, RECEIVED_MS + number)
    return record_of(message)


class Output:
    """The output topics: detections, one that was aborted, a foreign record, the other kinds, a dead letter."""

    def __init__(self, kafka: KafkaCluster) -> None:
        self.kafka = kafka
        self.topics = Topics.unique("docs").create(kafka.administration, partitions=1)
        self._producer = KafkaProducer(
            bootstrap_servers=kafka.bootstrap_servers, transactional_id=self.topics.detection, retry_backoff_ms=2
        )
        self._producer.init_transactions()
        with self._transaction():
            for number in range(EVENTS - 1):
                self._send(rendered("detection", number, name=f"F{number}.EXE"))
        with self._transaction(commit=False):
            self._send(rendered("detection", 100, name="ABORTED.EXE"))
        with self._transaction():
            self._producer.send(self.topics.detection, b"no event of ours")
            for kind in KINDS:
                if kind != "detection":
                    self._send(rendered(kind, 200 + len(kind)))
            bad = Message(f"{{{message_id(300)}}}", KINDS["detection"].topic, "", "", b"\x1b no JSON", RECEIVED_MS)
            self._send(record_of(bad))
            self._send(rendered("detection", EVENTS - 1, name=f"F{EVENTS - 1}.EXE"))
        self._producer.close()

    def here(self, text: str) -> str:
        """The text with this Kafka and these topics."""
        for kind, topic in DefaultTopics().by_destination().items():
            text = text.replace(topic, getattr(self.topics, kind))
        return text.replace(SERVER, self.kafka.bootstrap_servers[0])

    @contextmanager
    def _transaction(self, *, commit: bool = True) -> Iterator[None]:
        self._producer.begin_transaction()
        yield
        self._producer.flush()
        if commit:
            self._producer.commit_transaction()
        else:
            self._producer.abort_transaction()

    def _send(self, record: Record) -> None:
        self._producer.send(
            getattr(self.topics, record.destination),
            record.value,
            key=record.key,
            headers=[*record.headers, ("ce_forwarder", b"node-1")],
            timestamp_ms=record.received_at_ms,
        )


@pytest.fixture(scope="module")
def output(kafka: KafkaCluster) -> Output:
    return Output(kafka)


class Run:
    """A program that is running, and what it has printed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._out, self._err = directory / "out", directory / "err"

    @property
    def lines(self) -> list[str]:
        return self._out.read_text(encoding="utf-8").splitlines()

    @property
    def complaints(self) -> list[str]:
        return [line for line in self._err.read_text(encoding="utf-8").splitlines() if line.startswith("passed over")]

    def wait(self, condition: Callable[[], object]) -> None:
        def what() -> str:
            return f"printed: {self._out.read_text()}\ncomplained: {self._err.read_text()}"

        wait_until(condition, timeout=30.0, what=what)

    @contextmanager
    def of(self, command: Sequence[str], **environment: str) -> Iterator[None]:
        with self._out.open("wb") as out, self._err.open("wb") as err:
            process = subprocess.Popen(
                command, cwd=self.directory, stdout=out, stderr=err, env={**os.environ, **environment}
            )
        try:
            yield
        finally:
            process.kill()
            process.wait(10)


@contextmanager
def running_python(output: Output, heading: str, directory: Path) -> Iterator[Run]:
    file = directory / "example.py"
    file.write_text(output.here(block(heading, "python")), encoding="utf-8")
    run = Run(directory)
    with run.of([sys.executable, "-u", str(file)]):
        yield run


@pytest.mark.parametrize("heading", ["kafka-python", "confluent-kafka", "aiokafka"])
def test_a_python_example_prints_what_was_committed_in_order(output: Output, heading: str, tmp_path: Path) -> None:
    with running_python(output, heading, tmp_path) as run:
        run.wait(lambda: len(run.lines) >= EVENTS)
        assert run.lines == [f"{message_id(number)} F{number}.EXE {SHA256}" for number in range(EVENTS)]
        assert len(run.complaints) == 1
        assert "it has no header ce_type" in run.complaints[0]


def test_the_database_has_every_event_once_although_all_is_read_again(output: Output, tmp_path: Path) -> None:
    def kinds() -> dict[str, int]:
        try:
            with sqlite3.connect(tmp_path / "events.sqlite") as database:
                return dict(database.execute("select kind, count(*) from events group by kind"))
        except sqlite3.OperationalError:
            return {}

    with running_python(output, "With a database", tmp_path) as run:
        run.wait(lambda: sum(kinds().values()) == EVENTS + len(KINDS) - 1)
    with sqlite3.connect(tmp_path / "events.sqlite") as database:
        before = database.execute("select * from events order by event_id").fetchall()
        database.execute("delete from events where event_id = ?", [message_id(0)])
    again = tmp_path / "example.py"
    again.write_text(again.read_text(encoding="utf-8").replace("events-to-database", "again"), encoding="utf-8")
    with run.of([sys.executable, "-u", str(again)]):
        run.wait(lambda: sum(kinds().values()) == EVENTS + len(KINDS) - 1)
    with sqlite3.connect(tmp_path / "events.sqlite") as database:
        assert sorted(database.execute("select * from events").fetchall()) == sorted(before)
    assert kinds() == {"detection": EVENTS, **{kind: 1 for kind in KINDS if kind != "detection"}}


def test_dead_letters_are_shown_with_their_reason(output: Output, tmp_path: Path) -> None:
    with running_python(output, "Dead letters", tmp_path) as run:
        run.wait(lambda: run.lines)
        (line,) = run.lines
        assert line.startswith(f"2026-11-24 05:50:38.833000+00:00 {message_id(300)} not_json ")
        assert line.endswith("b'\\x1b no JSON'")


def test_the_console_tools_print_key_headers_and_value(output: Output, tmp_path: Path) -> None:
    ToolsInstallation().write_scripts(tmp_path / "bin")
    path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in [each.text for each in blocks() if (each.heading, each.language) == ("Console tools", "sh")]:
        run = Run(tmp_path)
        with run.of(["sh", "-c", f"exec {output.here(command)}"], PATH=path):
            run.wait(lambda run=run: f"F{EVENTS - 1}.EXE" in "".join(run.lines))  # type: ignore[misc]
        shown = "\n".join(run.lines)
        assert "ABORTED" not in shown
        assert [number for number in range(EVENTS) if message_id(number) in shown] == list(range(EVENTS))
        if "console-consumer" in command:
            assert f"ce_id:{message_id(0)}" in shown
            assert "\t68125cd6-a5d8-11e6-348e-000c29663178\t" in shown


def test_the_sink_of_kafka_connect_gets_what_was_committed(output: Output, tmp_path: Path) -> None:
    connector = json.loads(output.here(block("Kafka Connect", "json")))
    written = tmp_path / "written.txt"
    connector["config"]["file"] = str(written)
    with ConnectWorker(directory=tmp_path / "connect", bootstrap_servers=output.kafka.bootstrap_servers) as worker:
        worker.create(connector)
        wait_until(
            lambda: written.exists() and f"F{EVENTS - 1}.EXE" in written.read_text(), timeout=30.0, what=worker.log
        )
        assert re.findall(r"name=(\w+\.EXE)", written.read_text()) == [f"F{number}.EXE" for number in range(EVENTS)]


def headers() -> Mapping[str, bytes]:
    return dict(rendered("detection", 0).headers)


def test_the_snippet_for_logstash_is_sound(output: Output) -> None:
    pipeline = _Logstash(block("Logstash", "")).read()
    (kafka,) = pipeline["input"].values()
    assert kafka["topics"] == [DefaultTopics().detection]
    assert kafka["isolation_level"] == "read_committed"
    assert kafka["decorate_events"] == "extended", "else there are no headers"
    (sink,) = pipeline["output"].values()
    (header,) = re.findall(r"^%\{\[@metadata\]\[kafka\]\[headers\]\[(\w+)\]\}$", sink["document_id"])
    assert header in headers()


def test_the_snippet_for_vector_is_sound() -> None:
    pipeline = yaml.safe_load(block("Vector", "yaml"))
    ((name, source),) = pipeline["sources"].items()
    assert source["topics"] == [DefaultTopics().detection]
    librdkafka = {
        "bootstrap.servers": source["bootstrap_servers"],
        "group.id": source["group_id"],
        "auto.offset.reset": source["auto_offset_reset"],
        **source["librdkafka_options"],
    }
    assert librdkafka["isolation.level"] == "read_committed"
    confluent_kafka.Consumer(librdkafka).close()
    (sink,) = pipeline["sinks"].values()
    assert sink["inputs"] == [name]
    field, header = sink["id_key"].split(".")
    assert field == source["headers_key"]
    assert header in headers()


def test_every_block_of_the_page_is_tried_here() -> None:
    assert [(each.heading, each.language) for each in blocks()] == [
        ("kafka-python", "python"),
        ("confluent-kafka", "python"),
        ("aiokafka", "python"),
        ("With a database", "python"),
        ("Dead letters", "python"),
        ("Console tools", "sh"),
        ("Console tools", "sh"),
        ("Logstash", ""),
        ("Vector", "yaml"),
        ("Kafka Connect", "json"),
    ]


class _Logstash:
    """Reads Logstash's configuration as far as the page needs it: sections, plugins, options, text, lists."""

    _TOKEN = re.compile(r'\s*(?:(=>|[{}\[\],])|"([^"]*)"|([A-Za-z][\w.-]*))')

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text.rstrip()):
            match = self._TOKEN.match(text, place)
            assert match, f"not Logstash's language: {text[place : place + 40]!r}"
            sign, string, word = match.groups()
            self._tokens.append(("sign", sign) if sign else ("text", word if string is None else string))
            place = match.end()

    def read(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Plugins by section, options by plugin."""
        pipeline: dict[str, dict[str, dict[str, Any]]] = {}
        while self._tokens:
            section = self._text()
            assert section in ("input", "filter", "output")
            pipeline[section] = self._braces(lambda: self._braces(self._value))
        return pipeline

    def _braces(self, read: Callable[[], Any]) -> dict[str, Any]:
        found = {}
        self._sign("{")
        while self._tokens[0] != ("sign", "}"):
            name = self._text()
            found[name] = read()
        self._sign("}")
        return found

    def _value(self) -> Any:
        self._sign("=>")
        if self._tokens[0] != ("sign", "["):
            return self._text()
        self._sign("[")
        items = [self._text()]
        while self._tokens[0] == ("sign", ","):
            self._sign(",")
            items.append(self._text())
        self._sign("]")
        return items

    def _text(self) -> str:
        kind, text = self._tokens.pop(0)
        assert kind == "text", f"a name or text is expected, not {text}"
        return text

    def _sign(self, sign: str) -> None:
        assert self._tokens.pop(0) == ("sign", sign)
