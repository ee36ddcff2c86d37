"""`replay`: what is valid now goes to its topic, once, whatever happens in between, and no member takes notice."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import MakeKafka
from tests.data.payloads import SAMPLES
from tests.groups.writers import TransactionalWriter, leave_hanging
from tests.harness.detections import detection
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.letters import Site, event_id, letter
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.kafka.test_producer import everything_in
from tie_forwarder.dead_letters.producer import ReplayProducer
from tie_forwarder.dead_letters.replay import Pair
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.message import TOPICS
from tie_forwarder.events.reasons import Reason
from tie_forwarder.kafka.queries import OutputReader
from tie_forwarder.records.dead_letter import render_marker, render_replayed
from tie_forwarder.records.record import Record

LONG_AGO_MS = 1_700_000_000_123
FATES = ["replayed", "before", "still invalid", "filtered", "not whole", "refused"]


@pytest.fixture
def site(kafka: KafkaCluster, topics: Topics, tmp_path: Path) -> Site:
    return Site(directory=tmp_path, kafka=kafka, topics=topics)


def valid(numbers: Sequence[int]) -> list[Record]:
    """Letters whose events are valid today."""
    return [letter(number, detection(number, agent=number % 5)) for number in numbers]


def counted(output: str) -> dict[str, list[int]]:
    """The table that a replay prints."""
    lines = output.splitlines()
    assert lines[0].split("  ")[0].strip() == "reason"
    return {line.split()[0]: [int(cell) for cell in line.split()[1:]] for line in lines[1:]}


def test_what_is_valid_now_is_replayed_once_with_a_marker(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.config["dxl"] = {"events": list(TOPICS), "fabric": "lab"}
    site.write([
        letter(number, SAMPLES[kind], reason=Reason.UNKNOWN_TOPIC, topic=TOPICS[kind], received_at_ms=LONG_AGO_MS)
        for number, kind in enumerate(TOPICS)
    ])  # fmt: skip
    site.write([letter(8, b"{no json", reason=Reason.NOT_JSON)])
    began = int(time.time() * 1000)
    assert site.run("replay") == 0
    table = counted(capfd.readouterr().out)
    assert table == {
        "not_json": [0, 0, 1, 0, 0, 0], "unknown_topic": [4, 0, 0, 0, 0, 0], "all": [4, 0, 1, 0, 0, 0],
    }  # fmt: skip
    for number, kind in enumerate(TOPICS):
        (record,) = everything_in(site.kafka, site.topics.configuration()[kind])
        headers = {name: value.decode() for name, value in record.headers}
        assert headers["ce_id"] == event_id(number)
        assert headers["ce_source"] == "/opendxl/lab"
        assert headers["ce_dxltopic"] == TOPICS[kind]
        assert headers["ce_receivedtime"] == "2023-11-14T22:13:20.123Z"
        assert headers["ce_dxlclient"] == "{client}"
        assert headers["ce_replayedtime"].endswith("Z")
        assert "ce_forwarder" not in headers
        assert began <= record.timestamp <= time.time() * 1000, "retention counts from the replay"
        assert record.key
        assert json.loads(record.value)["hashes"]
    marker = site.markers()[0]
    assert (marker.event_id, marker.value, marker.partition) == (event_id(0), b"", 0)
    assert marker.headers["replayed_to"] == site.topics.detection
    assert not {"reason", "ce_forwarder"} & marker.headers.keys()

    assert site.run("replay") == 0
    assert counted(capfd.readouterr().out)["all"] == [0, 4, 1, 0, 0, 0]
    assert len(site.markers()) == 4
    assert len(site.records(site.topics.detection)) == 1


def test_a_marker_stands_in_the_partition_of_its_letter(site: Site) -> None:
    site.kafka.administration.add_partitions(site.topics.dead_letter, total=3)
    for partition in range(3):
        site.write(valid(range(10 * partition, 10 * partition + 5)), partition=partition)
    assert site.run("replay") == 0
    numbers = {marker.event_id: marker.partition for marker in site.markers()}
    assert numbers == {event_id(10 * partition + at): partition for partition in range(3) for at in range(5)}


def test_what_is_not_whole_is_twice_there_or_is_none_of_ours_is_not_replayed(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    (whole,) = valid([1])
    cut = letter(2, detection(2, agent=2)[:50], reason=Reason.REFUSED_TOO_LARGE)
    sized = cut._replace(headers=(*cut.headers, ("original_size", b"9000000")))
    site.write([whole, whole, sized])
    now = time.time_ns() // 1_000_000
    headers = dict(whole.headers)
    foreign = [
        {}, {**headers, "ce_id": b"no uuid"}, {**headers, "reason": b""}, {**headers, "forwarder_version": b""},
        {**headers, "ce_id": b"A5D868B2-1D2C-4F60-9F3E-0E6F6A1C2B3D"}, {**headers, "ce_id": b"\xff"},
    ]  # fmt: skip
    site.write_raw([(detection(3, agent=3), list(each.items()), now) for each in foreign])
    assert site.run("replay") == 0
    assert counted(capfd.readouterr().out) == {
        "internal_error": [1, 1, 0, 0, 0, 0], "refused_too_large": [0, 0, 0, 0, 1, 0], "all": [1, 1, 0, 0, 1, 0],
    }  # fmt: skip
    assert [record.event_id for record in site.records(site.topics.detection)] == [event_id(1)]


def test_a_dry_run_and_a_selection_leave_the_rest_alone(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.write([letter(1, detection(1, agent=1), received_at_ms=LONG_AGO_MS)])
    site.write([*valid([2, 3]), letter(4, detection(4, agent=4), reason=Reason.BAD_HASH)])
    assert site.run("replay", "--dry-run") == 0
    output = capfd.readouterr().out
    assert "replayable" in output
    assert counted(output)["all"] == [4, 0, 0, 0, 0, 0]
    assert not site.markers()
    assert site.run("replay", "--since", "1h", "--reason", "internal_error") == 0
    assert counted(capfd.readouterr().out) == {"internal_error": [2, 0, 0, 0, 0, 0], "all": [2, 0, 0, 0, 0, 0]}
    assert site.run("replay", "--since", "2023-11-14T22:13:20.124Z", "--reason", "bad_hash") == 0
    assert [marker.event_id for marker in site.markers()] == [event_id(number) for number in (2, 3, 4)]
    capfd.readouterr()
    assert site.run("replay", "--reason", "internal_error", "--reason", "bad_hash") == 0
    assert counted(capfd.readouterr().out)["all"] == [1, 3, 0, 0, 0, 0]
    site.judge.verdict(range(1, 5)).assert_exactly_once(in_order=False)


def test_what_a_filter_keeps_back_stays_replayable(
    site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    site.write(valid([1]))
    site.config["filters"] = {"trust_level_at_least": 50}
    assert site.run("replay") == 0
    assert counted(capfd.readouterr().out)["all"] == [0, 0, 0, 1, 0, 0]
    site.config["filters"] = {}
    assert site.run("replay") == 0
    assert counted(capfd.readouterr().out)["all"] == [1, 0, 0, 0, 0, 0]
    site.config["filters"] = {"hashes_file": "gone"}
    assert site.run("replay") == 78
    assert "filters.hashes_file" in capfd.readouterr().err


def test_a_record_that_kafka_refuses_is_counted_and_stops_no_other(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    site.kafka.administration.set_topic_config(site.topics.detection, max_message_bytes=4_000)
    large = {7, 8, 30}
    letters = valid(range(40))
    for number in large:
        payload = {**json.loads(detection(number, agent=1)), "name": "x" * 9_000}
        letters[number] = letter(number, json.dumps(payload).encode())
    site.write(letters)
    assert site.run("replay") == 1
    output = capfd.readouterr()
    assert counted(output.out)["all"] == [37, 0, 0, 0, 0, 3]
    for number in large:
        assert f"Kafka refuses {event_id(number)}: too_large" in output.err
    site.judge.verdict(range(40)).assert_exactly_once(dead_letters=3, in_order=False)
    site.kafka.administration.set_topic_config(site.topics.detection, max_message_bytes=40_000)
    assert site.run("replay") == 0
    site.judge.verdict(range(40)).assert_exactly_once(in_order=False)


# Deaths and rivals


def test_killed_at_any_moment_it_leaves_both_or_neither(site: Site) -> None:
    letters = 3_000
    site.write(valid(range(letters)))

    def on_their_way() -> int:
        return sum(1 for _ in site.judge.read(site.topics.detection, isolation="read_uncommitted"))

    for least in (1, 700, 1_500):
        process = site.start("replay")
        wait_until(lambda n=least: on_their_way() >= n, timeout=30.0, what="records on their way")  # type: ignore[misc]
        process.kill()
        process.communicate(timeout=10)
        verdict = site.judge.verdict(range(letters))
        assert not verdict.lost, verdict
        assert not verdict.duplicated, verdict
        assert verdict.records == len(site.markers())
    assert site.run("replay") == 0
    site.judge.verdict(range(letters)).assert_exactly_once(in_order=False)
    assert len(site.markers()) == letters


def test_of_two_at_once_the_later_one_goes_on_and_nothing_stands_twice(site: Site) -> None:
    site.write(valid(range(2_000)))
    rivals = [site.start("replay") for _ in range(3)]
    said = [process.communicate(timeout=60) for process in rivals]
    codes = [process.returncode for process in rivals]
    assert 0 in codes
    for code, (_, errors) in zip(codes, said, strict=True):
        assert code in (0, 1)
        assert code == 0 or "another replay of this group has begun" in errors
    assert site.run("replay") == 0
    site.judge.verdict(range(2_000)).assert_exactly_once(in_order=False)


def test_a_replay_that_was_fenced_says_so_and_writes_nothing(site: Site) -> None:
    connection = {"bootstrap_servers": site.kafka.bootstrap_servers}
    topics = {"detection": site.topics.detection, "dead_letter": site.topics.dead_letter}
    with OutputReader(connection=connection, topics=list(topics.values())) as reader:
        first, second = (
            ReplayProducer(
                connection=connection,
                options={},
                topics=topics,
                group=site.group,
                stable_ends=lambda: reader.ends(committed=True),
                high_ends=lambda: reader.ends(committed=False),
                on_overrun=lambda what: pytest.fail(what),
            )
            for _ in range(2)
        )
        first.open()
        second.open()
        with pytest.raises(ForwarderError, match="another replay of this group has begun"):
            first.publish(pairs(site, [1]))
        assert second.publish(pairs(site, [1])) == []
        first.close()
        second.close()
    assert [record.event_id for record in site.records(site.topics.detection)] == [event_id(1)]


def pairs(site: Site, numbers: Sequence[int]) -> list[Pair]:
    """What a replay would publish."""
    found = []
    for number in numbers:
        record = Record("detection", event_id(number), None, b"{}", (("ce_id", event_id(number).encode()),), 0)
        now = time.time_ns() // 1_000_000
        marker = render_marker(event_id(number), topic=site.topics.detection, replayed_at_ms=now)
        found.append(Pair(render_replayed(record, replayed_at_ms=now), marker, 0, "internal_error"))
    return found


def test_a_transaction_of_somebody_else_is_waited_for(site: Site) -> None:
    site.write(valid(range(20)))
    with TransactionalWriter(
        bootstrap_servers=site.kafka.internal_servers, topic=site.topics.detection, held_seconds=6.0
    ) as writer:
        writer.wait_until_open()
        process = site.start("replay", "--reason", "internal_error")
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert counted(output)["all"] == [20, 0, 0, 0, 0, 0]
    assert len(site.markers()) == 20


def test_what_an_earlier_replay_left_hanging_is_committed_and_not_replayed_again(
    make_kafka: MakeKafka, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    credulous = make_kafka(properties={"transaction.partition.verification.enable": "false"})
    site = Site(directory=tmp_path, kafka=credulous, topics=Topics.unique().create(credulous.administration))
    site.write(valid(range(6)))
    leave_hanging(
        kafka=credulous, topic=site.topics.detection, transactional_id=f"{site.group}-replay",
        event_ids=[event_id(2), event_id(3), event_id(4)], header=("ce_replayedtime", b"2026-11-24T00:00:00.000Z"),
    )  # fmt: skip
    assert site.run("replay") == 0
    assert counted(capfd.readouterr().out)["all"] == [3, 3, 0, 0, 0, 0]
    found = sorted(record.event_id for record in site.records(site.topics.detection))
    assert found == [event_id(number) for number in range(6)]


def test_a_missing_right_is_named_and_the_documented_ones_are_enough(
    make_kafka: MakeKafka, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    locked = make_kafka(security=Security(protocol="SASL_PLAINTEXT", users={"operator": "right"}), acls=True)
    site = Site(directory=tmp_path, kafka=locked, topics=Topics.unique().create(locked.administration))
    sasl = {"mechanism": "SCRAM-SHA-512", "username": "operator", "password": "right"}
    site.config["kafka"]["security"] = {"protocol": "sasl_plaintext", "sasl": sasl}
    site.write(valid([1]))

    def refusal() -> str:
        capfd.readouterr()
        assert site.run("replay") == 1
        return capfd.readouterr().err

    def grant(*operations: str, resource: str = "topic", name: str) -> None:
        for operation in operations:
            locked.administration.grant("operator", operation, resource=resource, name=name)

    grant("read", "describe", name=site.topics.dead_letter)
    assert site.run("replay", "--dry-run") == 0
    assert f"the topic {site.topics.detection} does not exist" in refusal()
    grant("read", "describe", name=site.topics.detection)
    assert f"transactional id {site.group}-replay" in refusal()
    grant("write", "describe", resource="transactional_id", name=f"{site.group}-replay")
    assert "grant this user Write" in refusal()
    grant("write", name=site.topics.detection)
    assert "grant this user Write" in refusal()
    assert not site.records(site.topics.detection), "without its marker no event is there"
    grant("write", name=site.topics.dead_letter)
    assert site.run("replay") == 0
    site.judge.verdict([1]).assert_exactly_once()
    sasl["password"] = "wrong"
    said = refusal()
    assert "wrong" not in said
    assert "kafka.security.sasl" in said


@pytest.mark.long
@pytest.mark.parametrize("fault", ["hang", "kill"])
def test_kafka_that_hangs_or_dies_ends_it_with_a_sentence_and_the_next_one_goes_on(
    fault: str, make_kafka: MakeKafka, tmp_path: Path
) -> None:
    kafka = make_kafka()
    site = Site(directory=tmp_path, kafka=kafka, topics=Topics.unique().create(kafka.administration))
    letters = 20_000
    site.write(valid(range(letters)))
    process = site.start("replay")
    wait_until(lambda: bool(site.records(site.topics.detection)), timeout=30.0, what="a replayed event")
    getattr(kafka, fault)()
    output, errors = process.communicate(timeout=90)
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("Kafka")
    assert "Traceback" not in errors
    assert 0 < counted(output)["all"][0] < letters
    kafka.resume() if fault == "hang" else kafka.restart()
    assert site.run("replay") == 0
    site.judge.verdict(range(letters)).assert_exactly_once(in_order=False)


# The person in front of it


def spawn_on(terminal: int, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """The program with a terminal for everything that it says."""
    command = [sys.executable, "-m", "tie_forwarder", *arguments]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    return subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment)


def drained(terminal: int) -> str:
    """Everything that is said on a terminal until nobody holds its other end."""
    text = b""
    with suppress(OSError):
        while piece := os.read(terminal, 4_096):
            text += piece
    os.close(terminal)
    return text.decode(errors="replace")


def test_a_signal_ends_it_in_good_order(site: Site) -> None:
    site.write(valid(range(5_000)))
    process = site.start("replay")
    wait_until(lambda: bool(site.records(site.topics.detection)), timeout=30.0, what="a replayed event")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted: the rest is left as it was"
    replayed = counted(output)["all"][0]
    assert 0 < replayed < 5_000
    assert len(site.markers()) == len(site.records(site.topics.detection)) == replayed


def test_a_terminal_has_a_bar_and_a_pipe_plain_lines(site: Site) -> None:
    site.write([*valid(range(3)), letter(4, b"\x1b]0;title\x07", reason=Reason.NOT_JSON)])
    master, slave = pty.openpty()
    process = site.start("replay", "--dry-run")
    plain = process.communicate(timeout=30)[1]
    assert plain == "reading markers: 4\nreading dead letters: 4\n"
    shown = spawn_on(slave, site.arguments("replay", "--dry-run"))
    os.close(slave)
    text = drained(master)
    assert shown.wait(timeout=30) == 0
    assert "reading dead letters" in text
    assert "4/4" in text
    assert "title" not in text


def test_faults_are_one_sentence(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.config["kafka"]["topics"]["dead_letter"] = "missing"
    assert site.run("replay") == 1
    assert capfd.readouterr().err.startswith("the topic missing does not exist")
    site.config["kafka"]["bootstrap_servers"] = ["127.0.0.1:9"]
    assert site.run("replay") == 1
    assert capfd.readouterr().err.startswith("Kafka at 127.0.0.1:9")
    for wrong in (["--since", "yesterday"], ["--reason", "none_such"], ["--since", "99999999999d"]):
        assert site.run("replay", *wrong) == 2
    assert "neither a span such as 90m" in capfd.readouterr().err
    site.config["log"] = {"level": "loud"}
    assert site.run("replay") == 78
