"""A schema registry that is asked, hurt and told off: a real one, with a gate before it where a password is wanted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jsonschema import Draft7Validator

from tests.golden.records import CASES, record_of
from tests.harness.detections import detection
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.letters import Site, event_id, letter
from tests.harness.ports import free_port
from tests.harness.registry.apicurio import Apicurio
from tests.harness.registry.gate import Gate
from tests.harness.server_process import is_gone
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, Verdict
from tie_forwarder.kafka.registry import ask_registry
from tie_forwarder.records.formats import FORMATS
from tie_forwarder.records.wire_format import split_registry_prefix
from tie_forwarder.settings import registered_schema

USER, PASSWORD = "forwarder", "right-password-9317"
SCHEMAS = {name: registered_schema(kind) for name, kind in KINDS.items()}
DETECTION = SCHEMAS["detection"]


@pytest.fixture(scope="module")
def registry(provisioned: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    with Apicurio(directory=tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def gate(registry: Apicurio, authority: Authority) -> Iterator[Gate]:
    with Gate(behind=registry.port, identity=authority.issue("registry"), user=USER, password=PASSWORD) as gate:
        yield gate


def settings(url: str, *, password: str | None = None, ca_file: Path | None = None) -> dict[str, Any]:
    user = None if password is None else USER
    return {"url": url, "username": user, "password": password, "ca_file": None if ca_file is None else str(ca_file)}


def assert_verdict(answer: Any, error_class: ErrorClass, code: str, says: str) -> None:
    assert isinstance(answer, Verdict), answer
    assert (answer.error_class, answer.code) == (error_class, code), answer
    assert says in answer.detail
    assert answer.remedy == REMEDIES[code]


def test_every_kind_is_registered_once_and_found_again(registry: Apicurio) -> None:
    there = settings(registry.url)
    schemas = {f"once.{name}-value": text for name, text in SCHEMAS.items()}
    assert ask_registry("examine", there, schemas) == dict.fromkeys(schemas)
    assert not any(subject.startswith("once.") for subject in registry.subjects())
    ids = ask_registry("register", there, schemas)
    assert ask_registry("register", there, schemas) == ask_registry("examine", there, schemas) == ids
    assert isinstance(ids, dict)
    for subject, schema_id in ids.items():
        assert schema_id is not None
        assert registry.schema(schema_id) == json.loads(schemas[subject])
        assert registry.subjects()[subject] == [1]


def test_the_schema_of_every_format_is_taken_and_describes_its_records(registry: Apicurio) -> None:
    schemas = {
        f"{form}.{name}-value": registered_schema(kind, form)
        for name, kind in KINDS.items()
        for form in FORMATS
        if form != "raw"
    }
    ids = ask_registry("register", settings(registry.url), schemas)
    assert isinstance(ids, dict)
    for kind, payload in CASES.values():
        for form in ("json", "cloudevents", "ecs", "ocsf"):
            schema_id = ids[f"{form}.{kind}-value"]
            assert schema_id is not None
            Draft7Validator(registry.schema(schema_id)).validate(json.loads(record_of(kind, payload, form).value))


def test_a_schema_that_the_subject_does_not_take_is_blocked_until_it_does(registry: Apicurio) -> None:
    there = settings(registry.url)
    subject = "others-value"
    registry.register(subject, {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"})
    registry.set_compatibility(subject, "BACKWARD")
    for verb in ("examine", "register"):
        answer = ask_registry(verb, there, {subject: DETECTION})
        assert_verdict(answer, ErrorClass.BLOCKED, "registry_incompatible", subject)
    registry.set_compatibility(subject, "NONE")
    assert isinstance(ask_registry("register", there, {subject: DETECTION}), dict)


def test_a_later_version_with_more_fields_is_taken_where_the_compatibility_is_forward(registry: Apicurio) -> None:
    there = settings(registry.url)
    subject = "later-value"
    schema = json.loads(DETECTION)
    schema["properties"]["future"] = {"type": "integer"}
    first = ask_registry("register", there, {subject: DETECTION})
    registry.set_compatibility(subject, "BACKWARD")
    assert_verdict(
        ask_registry("register", there, {subject: json.dumps(schema)}),
        ErrorClass.BLOCKED, "registry_incompatible", "OBJECT_TYPE_PROPERTY_SCHEMAS_NARROWED",
    )  # fmt: skip
    registry.set_compatibility(subject, "FORWARD")
    assert ask_registry("register", there, {subject: json.dumps(schema)}) != first


def test_a_gate_is_passed_with_the_right_password_and_authority_only(
    registry: Apicurio, gate: Gate, authority: Authority, tmp_path: Path
) -> None:
    url = f"https://127.0.0.1:{gate.port}/apis/ccompat/v7"
    schema = {"gate-value": DETECTION}
    good = settings(url, password=PASSWORD, ca_file=authority.ca_file)
    assert isinstance(ask_registry("register", good, schema), dict)
    blocked = ErrorClass.BLOCKED
    wrong = ask_registry("register", {**good, "password": "wrong-password-5521"}, schema)
    assert_verdict(wrong, blocked, "registry_authentication", "HTTP status code 401")
    assert "wrong-password" not in str(wrong)
    stranger = settings(url, password=PASSWORD, ca_file=Authority(tmp_path / "stranger").ca_file)
    assert_verdict(ask_registry("register", stranger, schema), blocked, "registry_tls", "certificate verify failed")
    missing = settings(url, password=PASSWORD, ca_file=tmp_path / "missing")
    assert_verdict(ask_registry("register", missing, schema), blocked, "registry_tls", "No such file")
    statuses = {403: "registry_authorization", 404: "registry_url", 422: "registry_refused", 200: "registry_url"}
    for gate.status, code in statuses.items():
        assert_verdict(ask_registry("register", good, schema), blocked, code, url)
    gate.status = 503
    assert_verdict(ask_registry("register", good, schema), ErrorClass.TRANSIENT, "registry", "503")


def test_a_wrong_path_or_protocol_is_told(registry: Apicurio) -> None:
    schema = {"path-value": DETECTION}
    root = f"http://127.0.0.1:{registry.port}"
    assert_verdict(ask_registry("register", settings(root), schema), ErrorClass.BLOCKED, "registry_url", "404")
    tls = settings(f"https://127.0.0.1:{registry.port}")
    assert_verdict(ask_registry("register", tls, schema), ErrorClass.BLOCKED, "registry_tls", "SSL")


def test_a_registry_that_is_down_or_hangs_may_come_back(registry: Apicurio) -> None:
    schema = {"hang-value": DETECTION}
    nobody = settings(f"http://127.0.0.1:{free_port()}")
    assert_verdict(ask_registry("register", nobody, schema), ErrorClass.TRANSIENT, "registry", "Connection refused")
    registry.hang()
    try:
        answer = ask_registry("register", settings(registry.url), schema)
    finally:
        registry.resume()
    assert_verdict(answer, ErrorClass.TRANSIENT, "registry", "does not answer")
    assert isinstance(ask_registry("register", settings(registry.url), schema), dict)


def test_a_replay_registers_the_schema_and_writes_its_bytes_too(
    registry: Apicurio, kafka: KafkaCluster, topics: Topics, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    site = Site(directory=tmp_path, kafka=kafka, topics=topics)
    site.write([letter(1, detection(1, agent=1))])
    site.config["kafka"]["schema_registry"] = {"url": f"http://127.0.0.1:{free_port()}"}
    assert site.run("replay") == 1
    assert "the schema registry at http://127.0.0.1" in capfd.readouterr().err
    site.config["kafka"]["schema_registry"] = {"url": registry.url}
    assert site.run("replay") == 0
    (replayed,) = site.records(topics.detection)
    assert split_registry_prefix(replayed.value)[0] == registry.latest(f"{topics.detection}-value")
    (marker,) = site.markers()
    assert (marker.event_id, marker.value) == (event_id(1), b"")


def test_the_process_that_asks_ends_with_the_one_that_wants_to_know(registry: Apicurio) -> None:
    program = (
        "import json, sys; from tie_forwarder.kafka.registry import ask_registry;"
        "ask_registry('register', json.loads(sys.argv[1]), {'x-value': '{}'})"
    )
    registry.hang()
    try:
        asking = subprocess.Popen([sys.executable, "-c", program, json.dumps(settings(registry.url))])
        process = psutil.Process(asking.pid)
        (child,) = wait_until(process.children, timeout=10, what="a process that asks")
        asking.send_signal(signal.SIGKILL)
        asking.wait(10)
        wait_until(lambda: is_gone(child), timeout=2.0, what="the process that asks is gone")
    finally:
        registry.resume()
