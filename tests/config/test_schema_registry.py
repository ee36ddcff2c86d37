"""The options of the schema registry, and how the publisher waits for the ids; without a registry."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.config.test_faults import faults
from tests.golden.records import CASES
from tests.golden.records import record_of as in_format
from tests.harness.waiting import wait_until
from tie_forwarder.config import kafka as section
from tie_forwarder.config import load
from tie_forwarder.config.verification import verify
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.group.commands import Leaving
from tie_forwarder.kafka.errors import ErrorClass, PublisherError, Verdict
from tie_forwarder.kafka.producer import Prefixes, SchemaOf
from tie_forwarder.kafka.registry import Ids
from tie_forwarder.kafka.schema_ids import SchemaIds
from tie_forwarder.records.formats import FORMATS
from tie_forwarder.records.wire_format import form_of, registry_prefix, split_registry_prefix
from tie_forwarder.settings import publisher_configuration, registered_schema

URL = "https://registry:8081/apis/ccompat/v7"
TOPICS = {"detection": "tie.detections", "dead_letter": "tie.dead"}
REGISTRY = {"url": URL, "schemas": {"detection": "{}"}, "forms": {"detection": "json"}}
AWAY = Verdict(ErrorClass.TRANSIENT, "registry", "it is away")
REFUSED = Verdict(ErrorClass.BLOCKED, "registry_authentication", "it refuses")


@pytest.mark.parametrize(
    ("options", "field", "message", "remedy"),
    [
        ("url: 'registry:8081'", "url", "is no URL of http or https", "https://HOST:PORT"),
        ("url: 'https://'", "url", "is no URL of http or https", "https://HOST:PORT"),
        ("url: 'https://registry:99999'", "url", "is no URL of http or https", "https://HOST:PORT"),
        ("url: 'https://registry/?a=b'", "url", "has a part after ?", "without it"),
        ("username: u", "username", "has no effect without a url", "give the url"),
        (f"url: '{URL}', username: u", "password", "is needed beside username", "password_file"),
        (f"url: '{URL}', password: p", "username", "is needed beside the password", "set it"),
        (f"url: '{URL}', username: u, password: p, password_file: f", "password", "password_file too", "keep one"),
        ("url: 'http://registry', ca_file: f", "ca_file", "has no effect with an url of http", "use https"),
    ],
)  # fmt: skip
def test_each_fault_names_field_and_remedy(tmp_path: Path, options: str, field: str, message: str, remedy: str) -> None:
    (found,) = faults(tmp_path, f"kafka: {{schema_registry: {{{options}}}}}")
    assert found.field == f"kafka.schema_registry.{field}"
    assert message in found.message
    assert remedy in found.remedy


def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "kafka: {schema_registry: {url: 'https://user:secret-4711@registry'}}")
    assert "username and password_file" in found.remedy
    assert "secret-4711" not in str(found)


def test_kinds_that_share_a_topic_cannot_have_a_schema_each(tmp_path: Path) -> None:
    topics = "topics: {detection: one, first_instance: one}"
    (found,) = faults(tmp_path, f"kafka: {{schema_registry: {{url: '{URL}'}}, {topics}}}")
    assert found.field == "kafka.schema_registry.url"
    assert "detection and first_instance share the topic one" in found.message
    assert "a topic of its own" in found.remedy


def test_a_client_that_is_not_installed_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(section, "find_spec", lambda _: None)
    (found,) = faults(tmp_path, f"kafka: {{schema_registry: {{url: '{URL}'}}}}")
    assert found.remedy == "install confluent-kafka[schemaregistry], which is the extra `registry` of this package"
    file = tmp_path / "config.yaml"
    file.write_text("")
    load(file, environ={})


def test_the_publisher_is_told_the_schemas_of_the_enabled_kinds_and_the_secret(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from the file\n")
    file = tmp_path / "config.yaml"
    file.write_text(f"kafka: {{schema_registry: {{url: '{URL}/', username: u, password_file: password}}}}")
    told = publisher_configuration(load(file, environ={}), resume=None)["registry"]
    assert told == {
        "url": URL,
        "username": "u",
        "password": "from the file",
        "ca_file": None,
        "schemas": {"detection": registered_schema(KINDS["detection"])},
        "forms": dict.fromkeys(KINDS, "json"),
    }
    file.write_text("")
    assert publisher_configuration(load(file, environ={}), resume=None)["registry"] is None


def test_files_that_are_not_there_are_found_before_the_start(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"kafka: {{schema_registry: {{url: '{URL}', username: u, password_file: gone, ca_file: gone}}}}")
    found = {fault.field for fault in verify(load(file, environ={}))}
    assert {"kafka.schema_registry.password_file", "kafka.schema_registry.ca_file"} <= found


@pytest.mark.parametrize("kind", KINDS)
def test_a_registered_schema_is_the_kinds_in_draft_07(kind: str) -> None:
    text = registered_schema(KINDS[kind])
    schema = json.loads(text)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$defs" not in text
    referred = {name.partition('"')[0] for name in text.split("#/definitions/")[1:]}
    assert referred == set(schema["definitions"])


def test_the_five_bytes_name_the_schema_and_nothing_else_is_taken_for_them() -> None:
    assert registry_prefix(258) == b"\0\0\0\1\2"
    assert split_registry_prefix(registry_prefix(258) + b"{}") == (258, b"{}")
    for plain in (b"", b"{}", b"\0\0\0\0"):
        assert split_registry_prefix(plain) == (None, plain)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("form", FORMATS)
def test_the_bytes_come_before_records_of_the_format_that_the_schema_describes(case: str, form: str) -> None:
    kind, payload = CASES[case]
    record = in_format(kind, payload, form)
    assert form_of(record) == form
    assert Prefixes({kind: SchemaOf(7, form)}).before(record) == registry_prefix(7)
    assert Prefixes({"dead_letter": SchemaOf(7, form)}).before(record) == b""
    other = "json" if form != "json" else "ecs"
    with pytest.raises(
        PublisherError, match=f"the spool has a {kind} in the format {form}, and kafka.format is {other}"
    ):
        Prefixes({kind: SchemaOf(7, other)}).before(record)


class Answers:
    """Answers one after the other, the last one again and again."""

    def __init__(self, *answers: Ids | Verdict) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, str]] = []

    def __call__(self, registry: Mapping[str, Any], schemas: Mapping[str, str]) -> Ids | Verdict:
        self.asked.append(dict(schemas))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def ids(*answers: Ids | Verdict, stop: threading.Event | None = None) -> tuple[SchemaIds, Answers]:
    asked = Answers(*answers)
    schema_ids = SchemaIds(registry=REGISTRY, topics=TOPICS, stop=stop or threading.Event(), ask=asked)
    schema_ids.start()
    return schema_ids, asked


def test_the_ids_are_asked_for_again_until_they_are_known_and_then_no_more() -> None:
    schema_ids, asked = ids(AWAY, {"tie.detections-value": 7})
    assert schema_ids.wait().before(in_format(*CASES["detection"], "json")) == registry_prefix(7)
    assert schema_ids.wait().before(in_format(*CASES["detection"], "json")) == registry_prefix(7)
    assert asked.asked == [{"tie.detections-value": "{}"}] * 2
    assert schema_ids.trouble is None


def test_a_refusal_is_raised_at_once_and_shown() -> None:
    schema_ids, _ = ids(REFUSED)
    with pytest.raises(PublisherError) as raised:
        schema_ids.wait()
    assert raised.value.verdict == schema_ids.trouble == REFUSED


def test_who_stands_by_is_told_of_a_refusal_after_half_a_minute() -> None:
    now = [0.0]
    schema_ids = SchemaIds(
        registry=REGISTRY, topics=TOPICS, stop=threading.Event(), ask=Answers(REFUSED), monotonic=lambda: now[0]
    )
    schema_ids.start()
    wait_until(lambda: schema_ids.trouble, timeout=5.0, what="a refusal")
    schema_ids.check()
    now[0] = 31.0
    with pytest.raises(PublisherError, match="it refuses"):
        schema_ids.check()


def test_a_registry_that_stays_away_ends_the_wait() -> None:
    times = iter(range(0, 1000, 3))
    schema_ids = SchemaIds(
        registry=REGISTRY, topics=TOPICS, stop=threading.Event(), ask=Answers(AWAY), monotonic=lambda: next(times)
    )
    schema_ids.start()
    with pytest.raises(PublisherError, match="it is away"):
        schema_ids.wait()


def test_a_wish_to_stop_ends_the_wait() -> None:
    stop = threading.Event()
    schema_ids, asked = ids(AWAY, stop=stop)
    wait_until(lambda: asked.asked, timeout=5.0, what="asked")
    stop.set()
    with pytest.raises(Leaving):
        schema_ids.wait()


def test_without_a_registry_there_is_nothing_to_wait_for() -> None:
    schema_ids = SchemaIds(registry=None, topics=TOPICS, stop=threading.Event())
    schema_ids.start()
    schema_ids.check()
    assert schema_ids.wait().before(in_format(*CASES["detection"], "json")) == b""
