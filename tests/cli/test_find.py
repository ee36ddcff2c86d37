"""`find` says where an event is, on a real spool and a real Kafka."""

from __future__ import annotations

import json
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.detections import detection
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.letters import Site, event_id, letter
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.spool.test_spool import event, open_spool
from tie_forwarder.cli import invoke
from tie_forwarder.cli.find import UNKNOWN, Search, Wanted
from tie_forwarder.events.reasons import Reason
from tie_forwarder.spool import Changes
from tie_forwarder.spool.inspect import Unwatched

HOSTILE = b"\x1b[2J\n\xc2\x9b\x7f"


def sha256_of(number: int) -> str:
    """As `tests.harness.detections` makes it."""
    return sha512(number.to_bytes(8, "big")).digest()[32:].hex()


def found(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capfd.readouterr()
    code = invoke(["find", *arguments, "--json"])
    document: dict[str, Any] = json.loads(capfd.readouterr().out)
    return code, document


def test_it_is_in_kafka_among_the_dead_letters_or_unknown(
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    tmp_path: Path,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
    capfd: pytest.CaptureFixture[str],
) -> None:
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(30))
    site = Site(directory=tmp_path, kafka=kafka, topics=topics)
    forwarder.wait_until(lambda f: f.ledger()["published"] == 30, timeout=30.0)
    place = {
        record.headers["ce_id"]: record for record in site.judge.read(topics.detection)
    }[event_id(7)]  # fmt: skip
    config = ("--config", str(forwarder.config_file))

    code, said = found(capfd, f"{{{event_id(7).upper()}}}", *config)
    assert (code, said["complete"], said["not_looked_at"]) == (0, True, [])
    (seen,) = said["found"]
    assert (seen["place"], seen["topic"], seen["event_id"]) == ("output", topics.detection, event_id(7))
    assert (seen["partition"], seen["offset"]) == (place.partition, place.offset)
    assert seen["published_by"] == "forwarder"
    assert seen["received_at"] == seen["timestamp"] == place.headers["ce_receivedtime"]
    assert seen["event_time"] == place.headers["ce_time"]
    by_file = found(capfd, sha256_of(7).upper(), *config)
    assert (by_file[0], by_file[1]["found"]) == (0, [seen])
    assert found(capfd, event_id(7), "--all", *config)[1]["found"] == [seen]

    assert invoke(["find", event_id(7), *config]) == 0
    text = capfd.readouterr().out
    assert f"{event_id(7)}  in Kafka" in text
    assert f"{topics.detection}, partition {place.partition}, offset {place.offset}" in text

    site.write([letter(77, detection(77, agent=1), detail="unfit"), letter(78, b"x", reason=Reason.NOT_JSON)])
    code, said = found(capfd, event_id(77), *config)
    assert (code, [each["place"] for each in said["found"]]) == (0, ["dead_letters"])
    assert (said["found"][0]["reason"], said["found"][0]["detail"]) == ("internal_error", "unfit")
    assert [each["event_id"] for each in found(capfd, sha256_of(77), *config)[1]["found"]] == [event_id(77)]
    assert site.run("replay") == 0
    places = [each["place"] for each in found(capfd, event_id(77), *config)[1]["found"]]
    assert places == ["dead_letters", "replayed", "output"]

    code, said = found(capfd, event_id(999), *config)
    assert (code, said["found"], said["complete"]) == (UNKNOWN, [], True)
    assert said["looked_through"]["records"] == 34
    assert found(capfd, event_id(7), "--since", "2100-01-01", *config)[0] == UNKNOWN
    assert invoke(["find", sha256_of(999), *config]) == UNKNOWN
    assert capfd.readouterr().out.startswith("unknown: neither in the spool nor among 34 records")


def test_it_is_in_the_spool_though_kafka_is_away(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spool = open_spool(tmp_path / "spool")
    hostile = event(2).record._replace(headers=(("reason", HOSTILE), ("detail", HOSTILE)))
    about = event(3).record._replace(value=detection(3, agent=1))
    spool.apply(Changes(incoming=[event(1), event(2)._replace(record=hostile), event(3)._replace(record=about)]))
    file = tmp_path / "config.yaml"
    options = {"kafka": {"bootstrap_servers": ["127.0.0.1:9"]}, "spool": {"directory": str(tmp_path / "spool")}}
    file.write_text(yaml.safe_dump(options))
    config = ("--config", str(file))
    code, said = found(capfd, event(1).record.event_id, *config)
    assert (code, said["complete"]) == (0, False)
    assert "127.0.0.1:9" in said["not_looked_at"][0]
    (seen,) = said["found"]
    assert (seen["place"], seen["position"], seen["topic"]) == ("spool", 1, "tie.file.detections")
    assert (seen["received_at"], seen["event_time"]) == ("2023-11-14T22:13:20.001Z", "2023-11-14T22:13:20Z")
    search = Search(Wanted.parse(sha256_of(3)), steps=Unwatched(), interrupted=lambda: False)
    assert [each["position"] for each in search.spool(tmp_path / "spool", topics={})] == [3]
    assert list(search.spool(tmp_path / "nowhere", topics={})) == []

    assert invoke(["find", event(2).record.event_id, *config]) == 0
    text = capfd.readouterr().out
    assert text.replace("\n", "").isprintable()
    assert "in the spool" in text
    assert "reason        \\x1b[2J\\x0a" in text

    assert invoke(["find", event(9).record.event_id, *config]) == 1
    assert "Kafka at 127.0.0.1:9" in capfd.readouterr().err
    spool.close()


def test_what_is_no_name_of_an_event_is_refused() -> None:
    assert Wanted.parse(f"{{{event_id(5)}}}").event_id == event_id(5)
    for text in ("", "7", "x" * 64, "a" * 63):
        with pytest.raises(ValueError, match="neither the id of an event"):
            Wanted.parse(text)
        assert invoke(["find", text]) == 2


def test_a_digest_is_found_as_a_subject_in_hex_and_as_tie_writes_it() -> None:
    wanted = Wanted.parse(sha256_of(4))
    assert wanted.is_meant([("ce_subject", sha256_of(4).encode())], b"")
    assert wanted.is_meant([], b'{"sha256": "' + sha256_of(4).upper().encode() + b'"}')
    assert wanted.is_meant([], detection(4, agent=1))
    assert wanted.is_meant([], detection(4, agent=1).replace(b"/", b"\\/"))
    assert not wanted.is_meant([("ce_subject", sha256_of(5).encode())], detection(5, agent=1))
