"""`check --connect` and the fabric: each broker is tried alone, and what fails there is told with its cause."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.harness.check_connect import Answer, Line, Site, reader
from tests.harness.fake_fabric import Behaviour, FakeFabric
from tests.harness.mosquitto import Mosquitto
from tests.harness.ports import free_port
from tie_forwarder.demo.certificates import Authority, Identity
from tie_forwarder.demo.servers import write_dxlclient_config

NOW = datetime.now(UTC)


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    """A configuration whose Kafka is not there, which is told at once; only the fabric matters here."""
    config: dict[str, dict[str, Any]] = {
        "dxl": {"config_file": str(tmp_path / "dxlclient.config")},
        "kafka": {"bootstrap_servers": [f"127.0.0.1:{free_port()}"]},
        "spool": {"directory": str(tmp_path / "spool")},
        "http": {"listen": None},
    }
    return Site(config, tmp_path / "config.yaml", reader(capsys))


Connect = Callable[..., Answer]


@pytest.fixture
def connect(site: Site, authority: Authority) -> Connect:
    """Tries the fabric with a client that is in order, unless told otherwise."""

    def connect(*brokers: tuple[str, int], identity: Identity | None = None, authorities: Path | None = None) -> Answer:
        write_dxlclient_config(
            Path(site.config["dxl"]["config_file"]),
            identity=identity or authority.issue("client"),
            ca_file=authorities or authority.ca_file,
            brokers=list(brokers),
            client_id=None,
        )
        return site.check()

    return connect


def assert_failed(answer: Answer, code: str, *words: str) -> Line:
    """This line has failed, and what comes after it was not tried."""
    line = answer.line(code)
    assert line.state == "failed", answer.lines
    assert [word for word in words if word not in line.found] == [], line
    assert line.remedy
    lines = [name for name, _ in answer.lines if name.startswith("fabric.")]
    after = lines[lines.index(code) + 1 :]
    assert [name for name in after if answer.line(name).state != "not tried"] == []
    return line


def test_a_fabric_in_order_has_every_line(mosquitto: Mosquitto, connect: Connect) -> None:
    answer = connect(("127.0.0.1", mosquitto.port))
    states = {code: line.state for (code, _), line in answer.lines.items() if code.startswith("fabric.")}
    assert list(states) == [
        f"fabric.{aspect}" for aspect in ("name", "tcp", "tls", "connack", "subscription", "canary")
    ]
    assert set(states.values()) == {"ok"}
    assert "/mcafee/event/tie/file/detection" in answer.line("fabric.subscription").found


def test_each_broker_is_tried_and_one_is_enough(mosquitto: Mosquitto, connect: Connect) -> None:
    nobody = free_port()
    answer = connect(("127.0.0.1", nobody), ("127.0.0.1", mosquitto.port))
    assert answer.line("fabric.canary", f"127.0.0.1:{mosquitto.port}").state == "ok"
    line = answer.line("fabric.tcp", f"127.0.0.1:{nobody}")
    assert (line.state, line.found) == ("warning", "Connection refused")
    assert answer.line("fabric.canary", f"127.0.0.1:{nobody}").state == "not tried"


def test_names_that_are_not_found_and_ports_where_nobody_is(connect: Connect) -> None:
    assert_failed(connect(("nowhere.invalid", 8883)), "fabric.name", "nowhere.invalid is not found")
    assert_failed(connect(("127.0.0.1", free_port())), "fabric.tcp", "Connection refused")


def test_an_address_does_where_the_name_is_not_found(site: Site, mosquitto: Mosquitto, connect: Connect) -> None:
    connect(("127.0.0.1", mosquitto.port))
    file = Path(site.config["dxl"]["config_file"])
    file.write_text(file.read_text().replace(";127.0.0.1", ";nowhere.invalid;127.0.0.1"))
    answer = site.check()
    line = answer.line("fabric.name")
    assert line.state == "warning", file.read_text()
    assert line.found.endswith("; its address 127.0.0.1 is used")
    assert answer.line("fabric.canary").state == "ok"


def test_certificates_that_are_refused_say_by_whom(
    tmp_path: Path, authority: Authority, mosquitto: Mosquitto, connect: Connect
) -> None:
    broker, stranger = ("127.0.0.1", mosquitto.port), Authority(tmp_path / "stranger", common_name="stranger")
    line = assert_failed(connect(broker, authorities=stranger.ca_file), "fabric.tls", "not issued by an authority of")
    assert "BrokerCertChain" in line.remedy
    assert_failed(connect(broker, identity=stranger.issue("client")), "fabric.tls", "the broker", "this client's")
    expired = authority.issue("expired", valid_until=NOW - timedelta(hours=1))
    answer = connect(broker, identity=expired)
    assert_failed(answer, "fabric.tls", "the broker refuses this client's certificate: it has expired")
    assert answer.line("certificate.expiry", "DXL client").state == "failed"
    assert answer.exit_code == 78


def test_a_broker_whose_own_certificate_has_expired(tmp_path: Path, authority: Authority, connect: Connect) -> None:
    old = Mosquitto(directory=tmp_path / "old", authority=authority)
    old._identities["broker"] = authority.issue("old-broker", valid_until=NOW - timedelta(hours=1))
    with old:
        assert_failed(connect(("127.0.0.1", old.port)), "fabric.tls", "the broker's certificate, or its", "has expired")


def test_what_speaks_no_tls_or_nothing_at_all(fake_fabric: FakeFabric, greeter: int, connect: Connect) -> None:
    assert_failed(connect(("127.0.0.1", greeter)), "fabric.tls", "does not speak TLS")
    fake_fabric.behaviour = Behaviour.SILENT
    assert_failed(connect(("127.0.0.1", fake_fabric.port)), "fabric.tls", "stays silent")


@pytest.fixture
def greeter() -> Iterator[int]:
    """A port on which a mail server would greet."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.sendall(b"220 mail.example ESMTP\r\n")

        Thread(target=greet, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_broker_that_does_not_welcome_this_client(tmp_path: Path, authority: Authority, connect: Connect) -> None:
    strict = Mosquitto(directory=tmp_path / "strict", authority=authority)
    strict.directory.mkdir()
    strict._config.write_text(strict._configuration().replace("allow_anonymous true", "allow_anonymous false"))
    with strict:
        answer = connect(("127.0.0.1", strict.port))
    assert_failed(answer, "fabric.connack", "not authorised")
    assert answer.line("fabric.tls").state == "ok"


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        (Behaviour.REFUSE_SUBSCRIPTIONS, "fabric.subscription", "refuses the subscription to /"),
        (Behaviour.DROP_AFTER_CONNACK, "fabric.subscription", "the connection was lost"),
        (Behaviour.DEAF, "fabric.canary", "did not come back"),
    ],
)
def test_a_session_that_does_not_work(
    fake_fabric: FakeFabric, connect: Connect, behaviour: Behaviour, code: str, words: str
) -> None:
    fake_fabric.behaviour = behaviour
    assert_failed(connect(("127.0.0.1", fake_fabric.port)), code, words)
