"""Filters: what an event says may keep it back, what it does not say never does; a bad list is one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.data.payloads import SAMPLE_DICT, SAMPLES, message, wire
from tie_forwarder.cli import invoke
from tie_forwarder.config import Config, ConfigError, load
from tie_forwarder.config.list_files import ListFileError, read_agents, read_hashes
from tie_forwarder.config.sections import Filters
from tie_forwarder.config.verification import verify
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.filters import FILTER_NAMES, load_filters
from tie_forwarder.group.window import Window
from tie_forwarder.intake import Accepted, Filtered, Intake
from tie_forwarder.status.metrics import Metrics
from tie_forwarder.supervisor.accounts import Accounts
from tie_forwarder.supervisor.reload import Filtering
from tie_forwarder.supervisor.writer import Arrivals

SHA256 = SAMPLE_DICT["hashes"]["sha256"]
AGENT = "68125cd6-a5d8-11e6-348e-000c29663178"
TRUSTED, MALICIOUS = 99, 1


def listed(directory: Path, *lines: str) -> Path:
    file = directory / "list"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def caught(section: Filters, payload: bytes, kind: str = "detection") -> str | None:
    """The name of the filter that catches a payload; None when it is forwarded."""
    intake = Intake(fabric="main", key_by="none", kinds=tuple(KINDS), filters=load_filters(section))
    found = intake.accept(message(payload, topic=KINDS[kind].topic))
    if isinstance(found, Filtered):
        assert found.kind == kind
        return found.by.name
    assert found.reason is None
    return None


def change(kind: str, *levels: int | None) -> bytes:
    """A reputation change with these levels, one of each provider."""
    fields = json.loads(SAMPLES[kind])
    entries = [{"providerId": number, "trustLevel": level} for number, level in enumerate(levels, start=1)]
    return json.dumps({**fields, "newReputations": {"reputations": entries}}).encode()


# Rules


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_filtered_by_default(kind: str) -> None:
    assert caught(Filters(), SAMPLES[kind], kind) is None


@pytest.mark.parametrize(
    ("least", "most", "level", "passes"),
    [
        (None, 30, 1, True), (None, 30, 30, True), (None, 30, 50, False), (70, None, 70, True), (70, None, 69, False),
        (30, 50, "50", True), (30, 50, "51", False), (30, 50, 0, True), (30, 50, None, True), (30, 50, ..., True),
        (30, 50, -5, False), (30, 50, 2**62, False),
    ],
)  # fmt: skip
def test_a_detection_passes_by_its_trust_level_or_without_one(
    least: int | None, most: int | None, level: Any, passes: bool
) -> None:
    section = Filters(trust_level_at_least=least, trust_level_at_most=most)
    assert caught(section, wire(localReputation=level)) == (None if passes else "trust_level")


@pytest.mark.parametrize("kind", ["file_reputation_change", "certificate_reputation_change"])
@pytest.mark.parametrize(
    ("levels", "passes"),
    [((TRUSTED,), False), ((TRUSTED, MALICIOUS), True), ((0, TRUSTED), False), ((0, None), True), ((), True)],
)
def test_a_reputation_change_passes_when_one_new_level_does(
    kind: str, levels: tuple[int | None, ...], passes: bool
) -> None:
    assert caught(Filters(trust_level_at_most=30), change(kind, *levels), kind) == (None if passes else "trust_level")


def test_a_kind_without_the_field_is_never_filtered_by_it(tmp_path: Path) -> None:
    first = {**json.loads(SAMPLES["first_instance"]), "localReputation": TRUSTED, "newReputations": 5}
    assert caught(Filters(trust_level_at_most=30), json.dumps(first).encode(), "first_instance") is None
    nobody = Filters(agents_file=listed(tmp_path, "nobody"), agents_mode="allow")
    for kind in ("file_reputation_change", "certificate_reputation_change"):
        event = {**json.loads(SAMPLES[kind]), "agentGuid": "x"}
        assert caught(nobody, json.dumps(event).encode(), kind) is None
    for agent in (None, "", ...):
        assert caught(nobody, wire(agentGuid=agent)) is None


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256"])
@pytest.mark.parametrize("mode", ["deny", "allow"])
def test_any_hash_of_the_file_is_looked_up_in_any_case(name: str, mode: Any, tmp_path: Path) -> None:
    file = listed(tmp_path, "# ours", "", f"  {SAMPLE_DICT['hashes'][name].upper()} # one", "ab" * 32)
    section = Filters(hashes_file=file, hashes_mode=mode)
    other = wire(hashes=[{"type": "md5", "value": "AAAAAAAAAAAAAAAAAAAAAA=="}])
    assert (caught(section, wire()), caught(section, other)) == (("hash", None) if mode == "deny" else (None, "hash"))


def test_a_hash_of_an_unknown_type_is_in_no_list(tmp_path: Path) -> None:
    only_unknown = wire(hashes=[{"type": "imphash", "value": "AAAAAAAAAAAAAAAAAAAAAA=="}])
    for mode in ("deny", "allow"):
        section = Filters.model_validate({"hashes_file": listed(tmp_path, "00" * 16), "hashes_mode": mode})
        assert caught(section, only_unknown) is None


def test_a_certificate_is_known_by_its_public_key_too(tmp_path: Path) -> None:
    kind = "certificate_reputation_change"
    only_key = json.dumps({"publicKeySha1": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}).encode()
    section = Filters(hashes_file=listed(tmp_path, "00" * 20))
    assert caught(section, only_key, kind) == "hash"
    assert caught(section, SAMPLES[kind], kind) is None


@pytest.mark.parametrize("spelling", [AGENT, f"{{{AGENT}}}", AGENT.upper()])
@pytest.mark.parametrize("kind", ["detection", "first_instance"])
def test_an_agent_is_looked_up_in_any_spelling(spelling: str, kind: str, tmp_path: Path) -> None:
    event = json.dumps({**json.loads(SAMPLES[kind]), "agentGuid": f"{{{AGENT}}}"}).encode()
    assert caught(Filters(agents_file=listed(tmp_path, spelling)), event, kind) == "agent"
    assert caught(Filters(agents_file=listed(tmp_path, spelling), agents_mode="allow"), event, kind) is None
    assert caught(Filters(agents_file=listed(tmp_path, "myagent"), agents_mode="allow"), event, kind) == "agent"


def test_what_is_no_valid_event_is_a_dead_letter_and_not_filtered(tmp_path: Path) -> None:
    section = Filters(agents_file=listed(tmp_path, "x"), agents_mode="allow", trust_level_at_most=1)
    intake = Intake(fabric="main", key_by="none", kinds=("detection",), filters=load_filters(section))
    found = intake.accept(message(wire(hashes=[], localReputation=TRUSTED)))
    assert isinstance(found, Accepted)
    assert found.reason == "no_hashes"


# Lists


def test_a_list_holds_digests_and_each_once(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([b"AA" * 16, b"aa" * 16, b"# c", b"", b"bb" * 20 + b"\t# x"]))
    assert read_hashes(file, allow=True) == {b"\xaa" * 16, b"\xbb" * 20}
    file.write_text(f"{{{AGENT}}}\n{AGENT.upper()}\nmy#agent\n", encoding="utf-8")
    assert len(read_agents(file, allow=True)) == 2
    file.write_text("# nothing\n", encoding="utf-8")
    assert read_hashes(file, allow=False) == frozenset()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"00" * 16 + b"\nsecret-key\n", "has in line 2 no MD5, SHA-1 or SHA-256 in hex"),
        (b"00" * 15, "has in line 1 no MD5"), (b"0" * 33, "has in line 1 no MD5"),
        (b"00 " * 16, "has in line 1 no MD5"), (b"\xff\n", "is not UTF-8 text in line 1"),
        (b"x" * 5_000, "has a line of more than 1000 bytes"), (b"", "with the mode allow nothing would be forwarded"),
    ],
)  # fmt: skip
def test_a_list_that_is_none_is_refused_whole_and_not_quoted(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_bytes(content)
    with pytest.raises(ListFileError) as raised:
        read_hashes(file, allow=True)
    assert message in raised.value.message
    assert raised.value.remedy
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("content", ["a\x1b[31m\n", "{}\n"])
def test_a_list_of_endpoints_has_ids_only(content: str, tmp_path: Path) -> None:
    file = listed(tmp_path, content)
    with pytest.raises(ListFileError, match="line 1 no id"):
        read_agents(file, allow=False)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, told in (("pipe", "not a regular file"), (".", "Is a directory"), ("gone", "does not exist")):
        with pytest.raises(ListFileError, match=told):
            read_hashes(tmp_path / name, allow=False)


# Configuration


def config(directory: Path, text: str) -> Config:
    file = directory / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, environ={})


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("{trust_level_at_least: 70, trust_level_at_most: 30}", "trust_level_at_least", "no trust level would pass"),
        ("{trust_level_at_most: 0}", "trust_level_at_most", "greater than or equal to 1"),
        ("{trust_level_at_least: known}", "trust_level_at_least", "integer"),
        ("{hashes_mode: allow}", "hashes_mode", "no effect without hashes_file"),
        ("{agents_mode: only}", "agents_mode", "'deny' or 'allow'"),
        ("{hash_file: x}", "hash_file", "no such option"),
    ],
)
def test_bad_input_is_one_sentence(text: str, field: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        config(tmp_path, f"filters: {text}")
    (fault,) = raised.value.faults
    assert fault.field == f"filters.{field}"
    assert message in fault.message


def test_a_bad_list_is_a_fault_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "hashes").write_text("nothing\n", encoding="utf-8")
    loaded = config(tmp_path, "filters:\n  hashes_file: hashes\n  agents_file: gone\n")
    faults = [str(fault) for fault in verify(loaded) if fault.field.startswith("filters.")]
    hashes, agents = faults
    assert hashes == (
        f"{tmp_path}/config.yaml, line 2: filters.hashes_file = '{tmp_path}/hashes': has in line 1 no MD5, SHA-1 or "
        "SHA-256 in hex; write 32, 40 or 64 hex digits a line, and comments after #"
    )
    assert agents == (
        f"{tmp_path}/config.yaml, line 3: filters.agents_file = '{tmp_path}/gone': does not exist; correct the path, "
        "or put the file there"
    )
    with pytest.raises(ForwarderError, match=r"filters\.hashes_file = .*line 1 no MD5"):
        load_filters(loaded.filters)


def test_check_and_run_end_with_78_for_a_bad_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("filters: {agents_file: gone}\n", encoding="utf-8")
    for verb in ("check", "run"):
        assert invoke([verb, "--config", str(tmp_path / "config.yaml")]) == 78
        assert "filters.agents_file" in capsys.readouterr().err


def test_decode_says_by_what_an_event_would_be_filtered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hashes").write_text(SHA256, encoding="utf-8")
    (tmp_path / "config.yaml").write_text("filters: {hashes_file: hashes}", encoding="utf-8")
    (tmp_path / "payload").write_bytes(wire())
    assert invoke(["decode", str(tmp_path / "payload"), "--config", str(tmp_path / "config.yaml")]) == 0
    meaning = "one of its hashes is among the 1 of filters.hashes_file"
    assert json.loads(capsys.readouterr().out) == {
        "filtered": {"kind": "detection", "filter": "hash", "meaning": meaning}
    }
    assert invoke(["decode", str(tmp_path / "payload")]) == 0
    assert "record" in json.loads(capsys.readouterr().out)


# In the daemon


def test_what_is_filtered_is_counted_and_the_ledger_balances() -> None:
    metrics = Metrics(CollectorRegistry(), kinds=["detection"], topics=["output"])
    sample = metrics.registry.get_sample_value
    assert [sample("tie_forwarder_events_filtered_total", {"filter": name}) for name in FILTER_NAMES] == [0.0] * 3
    accounts = Accounts(metrics=metrics, topics={"detection": "output"})
    filters = load_filters(Filters(trust_level_at_most=30))
    intake = Intake(fabric="main", key_by="none", kinds=("detection",), filters=filters)
    arrivals = Arrivals(intake=intake, window=Window(seconds=600), accounts=accounts)
    payloads = [wire(localReputation=level) for level in (MALICIOUS, TRUSTED, TRUSTED)]
    arrivals.hold([message(payload, message_id="") for payload in payloads])
    assert len(arrivals.take()) == 1
    accounts.on_idle(0)
    assert (accounts.snapshot["received"], accounts.snapshot["filtered"]) == (2, 2)
    assert accounts.snapshot["imbalance"] == 0, "the third is in the spool's next commit"
    assert sample("tie_forwarder_events_filtered_total", {"filter": "trust_level"}) == 2.0
    assert sample("tie_forwarder_events_received_total", {"kind": "detection"}) == 3.0


def test_lists_are_read_again_and_a_bad_one_leaves_the_filters_as_they_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    list_file = tmp_path / "hashes"
    list_file.write_text("ab" * 32, encoding="utf-8")
    loaded = config(tmp_path, "filters: {hashes_file: hashes}")
    filtering = Filtering(loaded)
    filtering.load(loaded)
    assert isinstance(filtering.intake.accept(message()), Accepted)
    list_file.write_text(SHA256, encoding="utf-8")
    filtering.load_again(loaded)
    assert isinstance(filtering.intake.accept(message()), Filtered)
    list_file.write_text("half a li", encoding="utf-8")
    filtering.load_again(loaded)
    assert isinstance(filtering.intake.accept(message()), Filtered)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["filters.kept"]
    list_file.unlink()
    with pytest.raises(ForwarderError, match="does not exist"):
        filtering.load(loaded)
