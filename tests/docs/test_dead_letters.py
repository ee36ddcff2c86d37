"""docs/dead-letters.md is true: its commands run, its codes, columns and options are those of the program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.detections import detection
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.letters import Site, event_id, letter
from tests.harness.topics import Topics
from tie_forwarder.dead_letters.replay import Fate
from tie_forwarder.events.reasons import Reason
from tie_forwarder.settings import replay_id

TEXT = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (tie-forwarder .*)$", TEXT, re.MULTILINE)


def test_every_reason_has_its_meaning_and_a_remedy_in_the_order_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.+?) \|$", TEXT, re.MULTILINE)
    assert [(code, meaning) for code, meaning, _ in rows] == [(reason.value, reason.description) for reason in Reason]


def test_the_columns_of_the_count_are_explained() -> None:
    header = re.search(r"^    reason  .*$", TEXT, re.MULTILINE)
    assert header is not None
    assert re.split(r"  +", header[0].strip()) == ["reason", *(fate.value for fate in Fate)]
    for fate in Fate:
        assert f"| {fate.value} |" in TEXT


def test_the_transactional_id_is_the_one_that_is_used() -> None:
    assert f"--transactional-id {replay_id('tie-forwarder')}\n" in TEXT
    assert replay_id("<group.name>") in TEXT


def test_its_commands_run_one_after_the_other(kafka: KafkaCluster, topics: Topics, tmp_path: Path) -> None:
    site = Site(directory=tmp_path, kafka=kafka, topics=topics)
    site.write([letter(7, b"{no json", reason=Reason.NOT_JSON), letter(8, detection(8, agent=1))])
    site.arguments("replay")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    said = {}
    for command in COMMANDS:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}"
        said[command] = done.stdout
    assert len(COMMANDS) == 11
    assert event_id(8) in said["tie-forwarder dead-letters"]
    assert (tmp_path / "letter.bin").read_bytes() == b"{no json"
    assert [record.event_id for record in site.records(topics.detection)] == [event_id(8)]
    assert '"reason": "not_json"' in said[next(command for command in COMMANDS if "decode" in command)]


@pytest.mark.parametrize("option", ["--since", "--reason", "--limit", "--json", "--show", "--output", "--raw"])
def test_every_option_of_the_list_is_documented(option: str) -> None:
    from tie_forwarder.cli.dead_letters import dead_letters

    assert option in TEXT
    assert any(option in parameter.opts for parameter in dead_letters.params)
