"""Configuration: sources, defaults, paths and secrets."""

from __future__ import annotations

import copy
import pickle
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from tie_forwarder.config import Config, ConfigError, load
from tie_forwarder.config.address import Address, parse_address
from tie_forwarder.config.faults import leaf_options
from tie_forwarder.config.kafka import Kafka, Sasl, Security
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.kinds import KINDS

REFERENCE = Path(__file__).parents[2] / "config.yaml"


def written(directory: Path, text: str) -> Path:
    file = directory / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def loaded(directory: Path, text: str = "", **environ: str) -> Config:
    return load(written(directory, text), environ=environ)


# Defaults and the reference file


def test_the_reference_file_says_the_defaults(tmp_path: Path) -> None:
    reference = load(written(tmp_path, REFERENCE.read_text(encoding="utf-8")), environ={})
    assert reference.model_dump() == load(written(tmp_path, ""), environ={}).model_dump()


def test_the_reference_file_has_every_option_and_no_other_in_the_order_of_the_models() -> None:
    def leaves(data: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        found = []
        for name, value in data.items():
            inner = (*path, name)
            found += leaves(value, inner) if isinstance(value, dict) and value else [inner]
        return found

    assert leaves(yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))) == list(leaf_options())


def test_the_reference_file_says_a_default_that_is_not_null_literally() -> None:
    data = yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))
    silent = set()
    for option in leaf_options():
        value: Any = data
        for name in option:
            value = value[name]
        if value is None:
            silent.add(option[-1])
    assert silent == {
        "ca_file", "certificate_file", "key_file", "key_password", "key_password_file",
        "mechanism", "username", "password", "password_file", "member", "url",
        "trust_level_at_least", "trust_level_at_most", "hashes_file", "agents_file",
    }  # fmt: skip


def test_each_option_of_the_reference_file_has_a_comment_in_its_section() -> None:
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    for section in Config.model_fields:
        start = lines.index(f"{section}:")
        end = next((i for i in range(start + 1, len(lines)) if re.match(r"[a-z]", lines[i])), len(lines))
        assert any(line.strip().startswith("#") for line in lines[start:end]), section


def test_the_member_is_the_host_by_default(tmp_path: Path) -> None:
    assert loaded(tmp_path).group.member == socket.gethostname()
    assert loaded(tmp_path, "group: {member: null}").group.member == socket.gethostname()


def test_events_are_detections_by_default_and_each_kind_counts_once(tmp_path: Path) -> None:
    assert loaded(tmp_path).dxl.events == ("detection",)
    assert loaded(tmp_path, f"dxl: {{events: [{', '.join(KINDS)}]}}").dxl.events == tuple(KINDS)
    environ = {"TIE_FORWARDER_DXL__EVENTS": "first_instance, detection, first_instance"}
    assert loaded(tmp_path, **environ).dxl.events == ("first_instance", "detection")


def test_every_kind_of_event_has_a_topic_of_its_own(tmp_path: Path) -> None:
    topics = loaded(tmp_path).kafka.topics.by_destination()
    assert list(topics) == [*KINDS, "dead_letter"]
    assert len(set(topics.values())) == len(topics)


def test_an_empty_section_has_its_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, "kafka:\n  producer:\n  security:\nlog:\n").model_dump() == loaded(tmp_path).model_dump()


def test_a_size_may_have_a_unit_or_none(tmp_path: Path) -> None:
    assert loaded(tmp_path).spool.max_bytes == 4 * 1024**3
    assert loaded(tmp_path, "spool: {max_bytes: 2097152}").spool.max_bytes == 2 * 1024**2
    assert loaded(tmp_path, TIE_FORWARDER_SPOOL__MAX_BYTES="2MiB").spool.max_bytes == 2 * 1024**2


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        loaded(tmp_path).log.level = "debug"


def test_a_configuration_survives_the_way_to_a_child_process(tmp_path: Path) -> None:
    config = loaded(tmp_path, "kafka: {producer: {linger_ms: 7}}")
    for twin in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
        assert twin == config
        assert twin.place_of("kafka.producer").endswith("line 1")


# Sources


def test_the_environment_overrides_the_file_and_flags_override_both(tmp_path: Path) -> None:
    file = written(tmp_path, "log: {level: debug}\nkafka: {key: sha256}\ngroup: {name: from-file}")
    environ = {"TIE_FORWARDER_LOG__LEVEL": "warning", "TIE_FORWARDER_KAFKA__KEY": "none"}
    config = load(file, environ=environ, overrides={"log.level": "error", "kafka.key": None})
    assert (config.log.level, config.kafka.key, config.group.name) == ("error", "none", "from-file")
    assert config.place_of("log.level") == "command line"
    assert config.place_of("kafka.key") == "environment variable TIE_FORWARDER_KAFKA__KEY"
    assert config.place_of("group.name") == f"{file}, line 3"
    assert config.place_of("kafka.format") == ""


def test_lists_in_the_environment_are_separated_by_commas_or_json(tmp_path: Path) -> None:
    for text in ("a:1,b:2", "a:1, b:2,", '["a:1", "b:2"]'):
        config = loaded(tmp_path, TIE_FORWARDER_KAFKA__BOOTSTRAP_SERVERS=text)
        assert config.kafka.bootstrap_servers == ("a:1", "b:2")


def test_a_variable_replaces_one_option_and_keeps_its_neighbours(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "kafka: {topics: {detection: mine}, producer: {batch_size: 9}}",
        TIE_FORWARDER_KAFKA__TOPICS__DEAD_LETTER="dead",
        TIE_FORWARDER_KAFKA__PRODUCER__LINGER_MS="7",
    )
    assert (config.kafka.topics.detection, config.kafka.topics.dead_letter) == ("mine", "dead")
    assert config.kafka.producer == {"batch_size": 9, "linger_ms": 7}


def test_a_section_may_be_json_in_the_environment(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        TIE_FORWARDER_KAFKA__TOPICS='{"detection": "d"}',
        TIE_FORWARDER_KAFKA__PRODUCER='{"linger_ms": 3}',
    )
    assert config.kafka.topics.name_of("detection") == "d"
    assert config.kafka.producer == {"linger_ms": 3}


def test_a_blank_variable_unsets_what_may_be_unset(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "http: {listen: '127.0.0.1:1'}",
        TIE_FORWARDER_HTTP__LISTEN="",
        TIE_FORWARDER_KAFKA__SECURITY__CA_FILE="",
        TIE_FORWARDER_KAFKA__SECURITY__SASL__PASSWORD="",
        TIE_FORWARDER_KAFKA__SECURITY__SASL__MECHANISM="",
    )
    assert config.http.address is None
    assert config.kafka.security == Security()


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    config = loaded(tmp_path, TIE_FORWARDER_SERVICE_HOST="10.0.0.1", TIE_FORWARDER_PORT_9469_TCP="x", OTHER__X="1")
    assert config.model_dump() == loaded(tmp_path).model_dump()


def test_config_yaml_of_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "log: {level: error}")
    monkeypatch.chdir(tmp_path)
    config = load(environ={})
    assert config.log.level == "error"
    assert config.file == tmp_path / "config.yaml"


# Addresses


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("kafka-1.example:9092", "kafka-1.example", 9092), ("[::1]:1", "::1", 1), ("0.0.0.0:65535", "0.0.0.0", 65535)],
)
def test_an_address_is_split_and_put_together_again(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)
    assert str(parse_address(text)) == text


def test_http_may_listen_on_any_free_port_or_not_at_all(tmp_path: Path) -> None:
    assert loaded(tmp_path, "http: {listen: '[::]:0'}").http.address == Address("::", 0)
    assert loaded(tmp_path, "http: {listen: null}").http.address is None


# Paths


def test_paths_are_relative_to_the_file_wherever_they_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    written(tmp_path / "etc", "kafka: {security: {protocol: ssl, ca_file: ca.pem}}")
    monkeypatch.chdir(tmp_path)
    config = load(Path("etc/config.yaml"), environ={"TIE_FORWARDER_SPOOL__DIRECTORY": "data"})
    assert config.dxl.config_file == tmp_path / "etc/dxlclient.config"
    assert config.spool.directory == tmp_path / "etc/data"
    assert config.kafka.security.ca_file == tmp_path / "etc/ca.pem"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    assert loaded(tmp_path, "spool: {directory: /var/spool/x}").spool.directory == Path("/var/spool/x")


# Secrets

SASL = "kafka: {security: {protocol: sasl_ssl, sasl: {mechanism: PLAIN, username: u, %s}}}"


def test_a_password_is_read_from_its_file_without_the_newline_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" s3cret \r\n", encoding="utf-8")
    sasl = loaded(tmp_path, SASL % "password_file: password").kafka.security.sasl
    assert sasl.read_password() == " s3cret "


def test_a_rotated_password_is_seen_without_loading_again(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("old", encoding="utf-8")
    sasl = loaded(tmp_path, SASL % "password_file: password").kafka.security.sasl
    assert sasl.read_password() == "old"
    (tmp_path / "password").write_text("new", encoding="utf-8")
    assert sasl.read_password() == "new"


def test_a_password_file_that_is_gone_is_named_when_it_is_read(tmp_path: Path) -> None:
    sasl = loaded(tmp_path, SASL % "password_file: password").kafka.security.sasl
    with pytest.raises(
        ForwarderError, match=r"kafka\.security\.sasl\.password_file cannot be read: No such file"
    ) as found:
        sasl.read_password()
    assert str(tmp_path) not in str(found.value)  # the password itself may have been given as its file's name


def test_a_secret_is_found_among_the_credentials_of_the_service(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "kafka-password").write_text("s3cret\n", encoding="utf-8")
    text = SASL % "password_file: kafka-password"
    config = loaded(tmp_path, text, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    assert config.kafka.security.sasl.read_password() == "s3cret"
    (tmp_path / "kafka-password").write_text("beside the file", encoding="utf-8")
    config = loaded(tmp_path, text, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    assert config.kafka.security.sasl.read_password() == "beside the file"


def test_a_password_from_the_environment_is_never_taken_for_json(tmp_path: Path) -> None:
    config = loaded(tmp_path, SASL % "password: x", TIE_FORWARDER_KAFKA__SECURITY__SASL__PASSWORD='["12"]')
    assert config.kafka.security.sasl.read_password() == '["12"]'


def test_secrets_do_not_show_in_what_is_printed_of_a_configuration(tmp_path: Path) -> None:
    config = loaded(tmp_path, SASL % "password: s3cret")
    assert config.kafka.security.sasl.read_password() == "s3cret"
    for text in (repr(config), str(config), config.model_dump_json(), str(config.model_dump())):
        assert "s3cret" not in text


def test_the_error_of_a_model_made_in_code_shows_no_secret() -> None:
    with pytest.raises(ValidationError) as raised:
        Kafka(security=Security(protocol="plaintext", sasl=Sasl(password=SecretStr("s3cret"))))
    assert "s3cret" not in str(raised.value)
    with pytest.raises(ValidationError) as raised:
        Sasl.model_validate({"passwrod": "s3cret", "password": 5})
    assert "s3cret" not in str(raised.value)


# Weight


def test_loading_a_configuration_needs_no_library_of_another_part() -> None:
    heavy = {"kafka", "dxlclient", "dxltieclient", "cryptography", "pydantic_settings", "rich", "sqlite3", "asyncio"}
    script = "import sys, tie_forwarder.config; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not heavy & set(modules)


def test_no_configuration_at_all_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tie_forwarder.config.loading.SEARCH", (Path("config.yaml"), tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match=r"neither config\.yaml nor .*none\.yaml; give one with --config"):
        load(environ={})
