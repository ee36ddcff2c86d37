"""`tie_forwarder.consumer`: what a program that reads the records gets, whatever client it reads them with."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, NamedTuple

import confluent_kafka
import pytest
from aiokafka.structs import ConsumerRecord as AiokafkaRecord
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord as KafkaPythonRecord

from tests.data.payloads import EVENT_ID, SAMPLE_DICT, hostile_payloads, valid_payloads
from tests.data.records import record_of
from tests.golden.records import CASES
from tests.golden.records import record_of as in_format
from tie_forwarder.consumer import (
    DeadLetterError,
    Detection,
    ForeignRecordError,
    InvalidRecordError,
    NoEventError,
    OtherFormatError,
    ReplayMarker,
    ReplayMarkerError,
    parse,
    parse_dead_letter,
    parse_document,
)
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.message import Message
from tie_forwarder.records.dead_letter import render_marker, render_replayed
from tie_forwarder.records.formats import FORMATS
from tie_forwarder.records.record import Record

DATA = Path(__file__).parents[1] / "data"
REGISTRY_BYTES = b"\0\0\0\1\2"
MEMBER = ("ce_forwarder", b"node-1")


class Plain(NamedTuple):
    """The least that `parse` needs."""

    topic: str
    key: Any
    value: Any
    headers: Any


Headers = Sequence[tuple[str, bytes | None]]
Shape = Callable[[bytes | None, bytes | None, Headers], Any]


def kafka_python(key: bytes | None, value: bytes | None, headers: Headers) -> Any:
    return KafkaPythonRecord("t", 2, None, 7, 1795499438833, 0, key, value, list(headers), None, 0, 0, 0)


def aiokafka(key: bytes | None, value: bytes | None, headers: Headers) -> Any:
    return AiokafkaRecord("t", 2, 7, 1795499438833, 0, key, value, None, 0, 0, tuple(headers))


def confluent(key: bytes | None, value: bytes | None, headers: Headers) -> Any:
    return confluent_kafka.Message(
        topic="t", partition=2, offset=7, key=key, value=value, headers=list(headers), timestamp=(1, 1795499438833)
    )


def plain(key: Any, value: Any, headers: Any) -> Any:
    return Plain("t", key, value, headers)


CLIENTS = (kafka_python, aiokafka, confluent)


def rendered(kind: str = "detection", *, payload: bytes | None = None, topic: str | None = None) -> Record:
    """What the forwarder makes of a payload, by default of the kind's sample."""
    sample = (DATA / f"{kind}.json").read_bytes() if payload is None else payload
    received = Message(f"{{{EVENT_ID}}}", topic or KINDS[kind].topic, "68f3c7c6", "{302fcba6}", sample, 1795499438833)
    return record_of(received)


def as_read(record: Record, shape: Shape = plain, *, prefix: bytes = b"") -> Any:
    return shape(record.key, prefix + record.value, [*record.headers, MEMBER])


@pytest.mark.parametrize("shape", CLIENTS)
def test_a_record_of_each_client_gives_the_event_and_all_of_its_envelope(shape: Shape) -> None:
    event, envelope = parse(as_read(rendered(), shape))
    assert isinstance(event, Detection)
    assert event.model_dump(exclude_unset=True) == SAMPLE_DICT
    assert event.hashes.sha256 == SAMPLE_DICT["hashes"]["sha256"]
    assert vars(envelope) == {
        "event_id": EVENT_ID,
        "kind": "detection",
        "type": "com.mcafee.tie.file.detection.v1",
        "source": "/opendxl/main",
        "subject": SAMPLE_DICT["hashes"]["sha256"],
        "occurred_at": datetime(2016, 12, 9, 16, 43, 16, tzinfo=UTC),
        "received_at": datetime(2026, 11, 24, 5, 50, 38, 833000, tzinfo=UTC),
        "replayed_at": None,
        "dxl_topic": "/mcafee/event/tie/file/detection",
        "dxl_client": "68f3c7c6",
        "dxl_broker": "{302fcba6}",
        "forwarder": "node-1",
        "format": "json",
        "schema_id": None,
        "topic": "t",
        "partition": 2,
        "offset": 7,
        "timestamp_ms": 1795499438833,
        "key": "68125cd6-a5d8-11e6-348e-000c29663178",
    }


def test_topic_key_value_and_headers_are_enough() -> None:
    _, envelope = parse(as_read(rendered()))
    assert (envelope.partition, envelope.offset, envelope.timestamp_ms) == (None, None, None)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_model(kind: str) -> None:
    record = rendered(kind)
    event, envelope = parse(as_read(record))
    assert type(event) is KINDS[kind].adapter._type
    assert envelope.kind == kind
    assert event.model_dump(mode="json", exclude_unset=True) == json.loads(record.value)


@settings(max_examples=100)
@given(payload=valid_payloads())
def test_the_model_is_the_one_that_the_forwarder_validated(payload: bytes) -> None:
    record = rendered(payload=payload)
    assert parse(as_read(record)).event == decode(KINDS["detection"], payload).model


def test_the_bytes_of_a_schema_registry_are_understood() -> None:
    record = rendered()
    event, envelope = parse(as_read(record, prefix=REGISTRY_BYTES))
    assert event == parse(as_read(record)).event
    assert envelope.schema_id == 258


def structured(record: Record, **changes: Any) -> Any:
    """The record in CloudEvents' structured mode, as the standard says, with what Kafka and the publisher need."""
    attributes = {name[3:]: text.decode() for name, text in record.headers if name.startswith("ce_")}
    event = {**attributes, "datacontenttype": "application/json", "data": json.loads(record.value), **changes}
    headers = [("content-type", b"application/cloudevents+json; charset=UTF-8"), ("ce_id", EVENT_ID.encode()), MEMBER]
    return plain(record.key, json.dumps(event).encode(), headers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cloudevent_in_structured_mode_gives_the_same_event_and_envelope(kind: str) -> None:
    record = rendered(kind)
    event, envelope = parse(as_read(record))
    assert parse(structured(record)) == (event, replace(envelope, format="cloudevents"))
    with_prefix = structured(record)._replace(value=REGISTRY_BYTES + structured(record).value)
    assert parse(with_prefix) == (event, replace(envelope, format="cloudevents", schema_id=258))
    document, same = parse_document(with_prefix)
    assert (document["id"], document["data"], same.schema_id) == (EVENT_ID, json.loads(record.value), 258)


@pytest.mark.parametrize("case", CASES)
def test_every_format_is_read_or_named_and_its_envelope_is_the_same(case: str) -> None:
    event, envelope = parse(as_read(in_format(*CASES[case], "json")))
    for form in FORMATS:
        record = as_read(in_format(*CASES[case], form))
        same = replace(envelope, format=form)
        if form in ("ecs", "ocsf"):
            with pytest.raises(OtherFormatError, match=f"of the format {form}"):
                parse(record)
            assert parse_document(record) == (json.loads(record.value), same)
        else:
            assert parse(record) == (event, same)


def test_data_of_a_cloudevent_may_be_in_base64() -> None:
    record = rendered()
    coded = structured(record, data_base64=b64encode(record.value).decode())
    event = json.loads(coded.value)
    del event["data"]
    assert parse(coded._replace(value=json.dumps(event).encode())).event == parse(as_read(record)).event
    del event["data_base64"]
    with pytest.raises(InvalidRecordError, match="a CloudEvent without data"):
        parse(coded._replace(value=json.dumps(event).encode()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [b"", b"\0"])
def test_a_raw_payload_gives_the_same_event(kind: str, tail: bytes) -> None:
    record = rendered(kind)
    raw = record._replace(value=(DATA / f"{kind}.json").read_bytes() + tail)
    event, envelope = parse(as_read(record))
    assert parse(as_read(raw)) == (event, replace(envelope, format="raw"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("format_name", "document"),
    [
        ("ecs", {"@timestamp": "2026-11-24T05:50:38.833Z", "ecs": {"version": "8.17.0"}, "event": {"kind": "alert"}}),
        ("ocsf", {"class_uid": 2004, "metadata": {"version": "1.5.0"}, "time": 1795499438833}),
    ],
)
def test_a_document_of_another_standard_is_named_and_can_be_had(
    kind: str, format_name: str, document: dict[str, Any]
) -> None:
    record = rendered(kind)
    other = as_read(record._replace(value=json.dumps(document).encode()), prefix=REGISTRY_BYTES)
    with pytest.raises(OtherFormatError, match=f"of the format {format_name}: read it with parse_document") as raised:
        parse(other)
    assert raised.value.format == format_name
    found, envelope = parse_document(other)
    assert found == document
    assert envelope == replace(parse(as_read(record)).envelope, format=format_name, schema_id=258)


def test_a_field_of_the_future_is_kept() -> None:
    record = rendered(payload=json.dumps({**json.loads((DATA / "detection.json").read_text()), "new": [1]}).encode())
    assert parse(as_read(record)).event.model_extra == {"new": [1]}


def test_a_dead_letter_is_told_apart_and_can_be_read() -> None:
    letter = as_read(rendered(payload=b"no JSON"), kafka_python)
    with pytest.raises(DeadLetterError, match=r"t\[2\]@7: it is a dead letter \(not_json: ") as raised:
        parse(letter)
    read = parse_dead_letter(letter)
    assert raised.value.dead_letter == read
    assert (read.reason, read.payload, read.event_id) == ("not_json", b"no JSON", EVENT_ID)
    assert read.received_at == datetime(2026, 11, 24, 5, 50, 38, 833000, tzinfo=UTC)
    assert (read.dxl_topic, read.dxl_client, read.forwarder) == (KINDS["detection"].topic, "68f3c7c6", "node-1")
    with pytest.raises(ForeignRecordError, match="it has not the headers of a dead letter"):
        parse_dead_letter(as_read(rendered()))


def test_a_replayed_event_says_so_and_its_marker_is_no_dead_letter() -> None:
    replayed_at = datetime(2026, 11, 24, 5, 50, 39, tzinfo=UTC)
    now_ms = 1795499439000
    replayed = render_replayed(rendered(), replayed_at_ms=now_ms)
    envelope = parse(kafka_python(replayed.key, replayed.value, replayed.headers)).envelope
    assert (envelope.replayed_at, envelope.forwarder) == (replayed_at, None)
    rendering = render_marker(EVENT_ID, topic="tie.file.detections", replayed_at_ms=now_ms)
    marker = kafka_python(None, rendering.value, rendering.headers)
    for read in (parse, parse_dead_letter):
        with pytest.raises(ReplayMarkerError, match="a dead letter as replayed: the event stands in tie") as raised:
            read(marker)
        assert raised.value.marker == ReplayMarker(EVENT_ID, replayed_at, "tie.file.detections")


def changed(**changes: bytes | None) -> Any:
    """The sample's record with other headers or another value."""
    record = rendered()
    headers = {**dict(record.headers), **{name.replace("__", "-"): value for name, value in changes.items()}}
    value = headers.pop("value", record.value)
    return kafka_python(None, value, [(name, content) for name, content in headers.items() if content is not None])


@pytest.mark.parametrize(
    ("record", "error", "why"),
    [
        (plain(None, b"{}", []), ForeignRecordError, "it has no header ce_type"),
        (plain(None, b"{}", None), ForeignRecordError, "it has no header ce_type"),
        (changed(ce_type=b"com.example.order.v1"), ForeignRecordError, "'com.example.order.v1' is none of com.mcafee"),
        (changed(ce_id=None), InvalidRecordError, "it has no header ce_id"),
        (changed(ce_source=None), InvalidRecordError, "it has no header ce_source"),
        (changed(ce_time=b"yesterday"), InvalidRecordError, "its header ce_time is no time"),
        (changed(ce_time=b"2026-11-24T00:00:00"), InvalidRecordError, "its header ce_time has no time zone"),
        (plain(None, None, rendered().headers), InvalidRecordError, "it has no value"),
        (changed(value=b""), InvalidRecordError, "its value is no detection: Invalid JSON"),
        (changed(value=b"\0\0\0"), InvalidRecordError, "its value is no detection: Invalid JSON"),
        (changed(value=b"[]"), InvalidRecordError, "its value is no detection: "),
        (changed(value=b"{}"), InvalidRecordError, "its value is no detection: hashes: Field required"),
        (changed(value=b'{"hashes":{},"name":1}'), InvalidRecordError, "no detection: name: Input should be"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_with_the_reason(record: Any, error: type[NoEventError], why: str) -> None:
    with pytest.raises(error) as raised:
        parse(record)
    assert why in raised.value.why
    assert str(raised.value).startswith(f"{raised.value.place}: ")


_NAMES = [name for name, _ in rendered().headers] + ["reason", "forwarder_version", "replayed_at", "original_size", "x"]
_CONTENTS = st.one_of(st.binary(max_size=20), st.sampled_from([content for _, content in rendered().headers]))


@settings(max_examples=200)
@given(
    value=st.one_of(
        st.none(), st.binary(max_size=40), st.sampled_from([value for value, _ in hostile_payloads().values()])
    ),
    prefix=st.sampled_from([b"", REGISTRY_BYTES]),
    headers=st.lists(st.tuples(st.sampled_from(_NAMES), _CONTENTS), max_size=5),
)
def test_whatever_stands_in_a_topic_it_is_an_event_or_no_event(
    value: bytes | None, prefix: bytes, headers: list[tuple[str, bytes]]
) -> None:
    with suppress(NoEventError):
        parse(plain(b"\xff", None if value is None else prefix + value, [*rendered().headers, *headers]))


def test_an_error_event_of_confluent_kafka_is_no_record() -> None:
    failure = confluent_kafka.Message(
        topic="t", error=confluent_kafka.KafkaError(confluent_kafka.KafkaError._PARTITION_EOF)
    )
    with pytest.raises(ForeignRecordError, match="an error of the client"):
        parse(failure)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (None, "a Kafka record with topic, key, value and headers is expected, not NoneType"),
        ({"topic": "t"}, "is expected, not dict"),
        (plain(None, {"name": "x"}, []), "value is a dict, where bytes are expected: leave value_deserializer out"),
        (plain("text", b"{}", []), "key is a str, where bytes are expected: leave key_deserializer out"),
    ],
)
def test_what_is_no_record_as_it_was_received_is_a_type_error(record: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        parse(record)


_PROGRAM = """
import json, sys
from importlib.abc import MetaPathFinder

blocked, headers, value = json.loads(sys.argv[1])

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from tie_forwarder.consumer import parse

class Record:
    topic, key = "t", None

Record.headers = [(name, text.encode()) for name, text in headers]
Record.value = value.encode()
print(parse(Record).event.name)
"""


def _installed() -> set[str]:
    """The top-level names of all packages."""
    return set(packages_distributions())


def test_nothing_but_pydantic_is_needed() -> None:
    needed = {"tie_forwarder", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
    blocked = sorted(_installed() - needed)
    assert {"kafka", "dxlclient", "click", "yaml"} < set(blocked)
    record = rendered()
    told = json.dumps([blocked, [(name, value.decode()) for name, value in record.headers], record.value.decode()])
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, told], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == (SAMPLE_DICT["name"], "")


def test_equal_records_give_equal_envelopes_that_can_be_members_of_a_set() -> None:
    parsed = [parse(as_read(rendered())) for _ in range(2)]
    assert len({result.envelope for result in parsed}) == 1
