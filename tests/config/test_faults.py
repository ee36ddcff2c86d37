"""Each fault of a configuration is one sentence: place, field, value, what is wrong, remedy. All come at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tie_forwarder.config import ConfigError, Fault, load


def faults(directory: Path, text: str, overrides: dict[str, Any] | None = None, **environ: str) -> tuple[Fault, ...]:
    file = directory / "config.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(file, environ=environ, overrides=overrides)
    assert str(raised.value).splitlines() == [str(fault) for fault in raised.value.faults]
    return raised.value.faults


def test_every_fault_of_every_source_is_reported_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "kafka:\n  key: agent\n  bootstrap_servers: ['a:1', 'b', 'c']\nspool: {when_full: stop}\nlgo: {}\n",
        {"shutdown.drain_seconds": -1},
        TIE_FORWARDER_LOG__LEVEL="inf",
    )
    file = tmp_path / "config.yaml"
    assert {(fault.place, fault.field) for fault in found} == {
        (f"{file}, line 2", "kafka.key"),
        (f"{file}, line 3", "kafka.bootstrap_servers[1]"),
        (f"{file}, line 3", "kafka.bootstrap_servers[2]"),
        (f"{file}, line 4", "spool.when_full"),
        (f"{file}, line 5", "lgo"),
        ("environment variable TIE_FORWARDER_LOG__LEVEL", "log.level"),
        ("command line", "shutdown.drain_seconds"),
    }


def test_a_fault_reads_as_a_sentence(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "log:\n  level: inf\n")
    assert str(found) == (
        f"{tmp_path}/config.yaml, line 2: log.level = 'inf': "
        "must be 'debug', 'info', 'warning' or 'error'; did you mean info?"
    )


@pytest.mark.parametrize(
    ("text", "field", "message", "remedy"),
    [
        ("kfka: {}", "kfka", "no such option", "did you mean kafka?"),
        ("kafka: {boostrap_servers: []}", "kafka.boostrap_servers", "no such option", "kafka.bootstrap_servers?"),
        ("log: {zzz: 1}", "log.zzz", "no such option", "known here: level, format"),
        ("http: 5", "http", "must be a section", "below it"),
        ("dxl: {events: [detections]}", "dxl.events[0]", "must be 'detection'", "did you mean detection?"),
        ("dxl: {events: []}", "dxl.events", "at least 1", "at least one"),
        ("dxl: {fabric: no}", "dxl.fabric", "valid string", "in quotes"),
        ("dxl: {fabric: 'a b'}", "dxl.fabric", "safe everywhere", "letters"),
        ("dxl: {config_file: ''}", "dxl.config_file", "names no file", "path"),
        ("dxl: {keep_alive_seconds: 0}", "dxl.keep_alive_seconds", "greater than or equal to 1", ""),
        ("dxl: {keep_alive_seconds: 1.5}", "dxl.keep_alive_seconds", "integer", "whole number"),
        ("dxl: {canary_timeout_seconds: 2}", "dxl.canary_timeout_seconds", "longer than canary_interval", "twice"),
        ("dxl: {canary_timeout_seconds: 29}", "dxl.canary_timeout_seconds", "the 30 s within which", "lower"),
        ("kafka: {bootstrap_servers: []}", "kafka.bootstrap_servers", "at least 1", "at least one"),
        ("kafka: {bootstrap_servers: ['::1:9092']}", "kafka.bootstrap_servers[0]", "several colons", "brackets"),
        ("kafka: {bootstrap_servers: ['[x]:9']}", "kafka.bootstrap_servers[0]", "no IPv6 address", "[::1]"),
        ("kafka: {bootstrap_servers: ['ssl://a:1']}", "kafka.bootstrap_servers[0]", "scheme", "host:port only"),
        ("kafka: {bootstrap_servers: ['a:0']}", "kafka.bootstrap_servers[0]", "port from 1 to 65535", "host:port"),
        ("kafka: {bootstrap_servers: ['a b:1']}", "kafka.bootstrap_servers[0]", "impossible host", "spaces"),
        ("kafka: {bootstrap_servers: '[a'}", "kafka.bootstrap_servers", "JSON list", "commas"),
        ("kafka: {delivery: exactly-once}", "kafka.delivery", "must be", "did you mean exactly_once?"),
        ("kafka: {topics: {detection: 'a b'}}", "kafka.topics.detection", "no legal topic", "249"),
        ("kafka: {topics: {detection: '..'}}", "kafka.topics.detection", "no legal topic", "249"),
        ("kafka: {topics: {dead_letter: tie.file.detections}}", "kafka.topics.dead_letter", "detection", "their own"),
        ("group: {member: 'a/b'}", "group.member", "safe everywhere", "letters"),
        ("group: {window_seconds: 10}", "group.window_seconds", "longer than takeover_after_seconds", "raise it"),
        ("group: {takeover_after_seconds: 0}", "group.takeover_after_seconds", "at least 3", "raise it"),
        ("group: {takeover_after_seconds: 2.9}", "group.takeover_after_seconds", "at least 3", "raise it"),
        ("group: {margin_seconds: 0}", "group.margin_seconds", "greater than 0", ""),
        ("spool: {max_bytes: 4 apples}", "spool.max_bytes", "byte", "4GiB"),
        ("spool: {max_bytes: 4KiB}", "spool.max_bytes", "1048576", ""),
        ("spool: {commit_interval_ms: 1001}", "spool.commit_interval_ms", "less than or equal to 1000", ""),
        ("http: {listen: '9469'}", "http.listen", "host:port", "give both"),
        ("http: {listen: 9469}", "http.listen", "valid string", "in quotes"),
        ("http: {listen: ':9469'}", "http.listen", "host:port", "0.0.0.0"),
        ("shutdown: {drain_seconds: soon}", "shutdown.drain_seconds", "number", "give a number"),
    ],
)  # fmt: skip
def test_each_kind_of_fault_names_field_and_remedy(
    tmp_path: Path, text: str, field: str, message: str, remedy: str
) -> None:
    (found,) = faults(tmp_path, text)
    assert found.field == field
    assert found.place == f"{tmp_path}/config.yaml, line 1"
    assert message in found.message
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("security", "field", "message"),
    [
        ("sasl: {username: u}", "sasl.username", "no effect with protocol plaintext"),
        ("ca_file: x", "ca_file", "no effect with protocol plaintext"),
        ("protocol: sasl_plaintext, key_password_file: x, sasl: {mechanism: PLAIN, username: u, password: p}",
         "key_password_file", "no effect with protocol sasl_plaintext"),
        ("protocol: ssl, key_file: x", "key_file", "no certificate_file"),
        ("protocol: ssl, certificate_file: c, key_password: p, key_password_file: f", "key_password", "file too"),
        ("protocol: sasl_ssl, sasl: {mechanism: PLAIN, username: u, password: p, password_file: f}",
         "sasl.password", "password_file too"),
        ("protocol: sasl_ssl, sasl: {username: u, password: p}", "sasl.mechanism", "needed by protocol sasl_ssl"),
        ("protocol: sasl_ssl, sasl: {mechanism: PLAIN, password: p}", "sasl.username", "needed"),
        ("protocol: sasl_ssl, sasl: {mechanism: PLAIN, username: u}", "sasl.password", "needed"),
    ],
)  # fmt: skip
def test_options_of_security_that_contradict_each_other(
    tmp_path: Path, security: str, field: str, message: str
) -> None:
    (found,) = faults(tmp_path, f"kafka: {{security: {{{security}}}}}")
    assert found.field == f"kafka.security.{field}"
    assert message in found.message
    assert found.remedy


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("acks: 1", "in-sync"),
        ("enable_idempotence: false", "twice"),
        ("transactional_id: x", "group"),
        ("delivery_timeout_ms: 5", "age"),
        ("retries: 3", "attempts"),
        ("bootstrap_servers: 'x:1'", "its own"),
        ("security_protocol: SSL", "its own"),
        ("sasl_plain_password: hunter2", "its own"),
        ("ssl_cafile: x", "its own"),
        ("key_serializer: x", "bytes"),
        ("value_serializer: x", "bytes"),
        ("partitioner: x", "Python object"),
        ("max_in_flight_requests_per_connection: 6", "order"),
        ("linger_sm: 5", "no such option"),
        ("linger_ms: '5'", "wrong type"),
        ("allow_auto_create_topics: 1", "wrong type"),
    ],
)
def test_an_option_of_the_producer_is_refused_with_its_reason_and_without_its_value(
    tmp_path: Path, option: str, reason: str
) -> None:
    (found,) = faults(tmp_path, f"kafka: {{producer: {{{option}, batch_size: 99}}}}")
    assert found.field == f"kafka.producer.{option.partition(':')[0]}"
    assert reason in found.message
    assert found.remedy
    assert "hunter2" not in str(found)


def test_an_unknown_variable_of_a_section_is_a_fault(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "", TIE_FORWARDER_KAFKA__SECURTY__PROTOCOL="ssl")
    assert found.place == "environment variable TIE_FORWARDER_KAFKA__SECURTY__PROTOCOL"
    assert found.remedy == "did you mean kafka.security?"


def test_a_variable_does_not_hide_that_its_section_is_none(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "log: verbose", TIE_FORWARDER_LOG__LEVEL="info")
    assert (found.field, found.place) == ("log", f"{tmp_path}/config.yaml, line 1")


@pytest.mark.parametrize("source", ["environment", "command line"])
def test_what_is_put_below_an_option_that_has_a_value_is_a_fault(tmp_path: Path, source: str) -> None:
    environ = {"TIE_FORWARDER_KAFKA__KEY__X": "hunter2"} if source == "environment" else {}
    (found,) = faults(tmp_path, "kafka: {key: sha256}", None if environ else {"kafka.key.x": "hunter2"}, **environ)
    assert found.place == ("environment variable TIE_FORWARDER_KAFKA__KEY__X" if environ else source)
    assert str(found).endswith("kafka.key.x: there is no such option; kafka.key has one value and no options below it")


def test_an_option_that_stands_twice_is_a_fault(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "log:\n  level: info\nhttp: {}\nlog:\n  format: json\n")
    assert (found.field, found.place) == ("log", f"{tmp_path}/config.yaml, line 4")
    assert "line 1" in found.message


# The file itself


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("log:\n  level: info\n kafka: {}\n", 3, "YAML"),
        ("log: {level: info\n", 2, "YAML"),
        ("log:\n\tlevel: info\n", 2, "YAML"),
        ("log: &a [*a]\n", 1, "alias"),
        ("log: &a {level: *a}\n", 1, "alias"),
    ],
)
def test_broken_yaml_is_a_fault_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    (found,) = faults(tmp_path, text)
    assert f"config.yaml, line {line}" in found.place
    assert message in str(found)


@pytest.mark.parametrize(
    "value",
    [
        "*hunter2",
        "!hunter2 x",
        "@hunter2",
        "%hunter2",
        "hunter2: x: y",
        '"hunter2',
        '"hunter2\\q"',
        "[hunter2",
        "{a: hunter2}",
        "hunter2\n  - x",
        "12345678",
        "[hunter2]",
        "2024-99-99",
    ],
)
def test_no_fault_of_a_secret_shows_it(tmp_path: Path, value: str) -> None:
    sasl = f"mechanism: PLAIN\n      username: u\n      password: {value}\n"
    text = f"kafka:\n  security:\n    protocol: sasl_ssl\n    sasl:\n      {sasl}"
    for found in faults(tmp_path, text):
        assert "hunter2" not in str(found)
        assert "12345678" not in str(found)


def test_an_option_with_a_misspelt_name_does_not_show_its_value(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "kafka: {security: {sasl: {pasword: hunter2}}}")
    assert "hunter2" not in str(found)


def test_a_value_that_may_be_a_url_with_a_password_is_not_shown(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "kafka: {bootstrap_servers: ['x://me:hunter2@kafka:9092']}")
    assert "hunter2" not in str(found)


def test_a_list_is_no_configuration(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "- a\n")
    assert "not a YAML mapping" in found.message


def test_a_file_that_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"dxl: {fabric: \xff}")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(file, environ={})


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file or directory; .*--config"):
        load(tmp_path / "absent.yaml", environ={})


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, environ={})
