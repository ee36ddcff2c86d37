"""Renewed certificates and passwords are taken up by a running forwarder that nobody tells of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeForwarder, MakeKafka, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.lifecycle.running import log_of
from tie_forwarder.demo.certificates import Authority, Identity

IMPATIENT = """
from tie_forwarder.__main__ import main
from tie_forwarder.supervisor import reload
reload._BETWEEN_LOOKS_SECONDS = 0.5
reload._SETTLING_SECONDS = 0.3
main()
"""
USER = "forwarder"


class NamingMosquitto(Mosquitto):
    """Its log says the name in the certificate of who connects."""

    def _configuration(self) -> str:
        return f"{super()._configuration()}use_identity_as_username true\n"

    def names(self) -> list[str]:
        """The name in the certificate of each connection, in their order."""
        return re.findall(r"New client connected .* u'([^']*)'", self.log())


def put(identity: Identity, *, certificate: Path | None = None, key: Path | None = None) -> None:
    """Another identity's files in the place of the old ones, as `mv` does it."""
    for target, source in ((certificate, identity.certificate), (key, identity.key)):
        if target is not None:
            fresh = target.with_suffix(".new")
            fresh.write_bytes(source.read_bytes())
            fresh.replace(target)


def said(forwarder: Forwarder, event: str, count: int = 1) -> dict[str, object]:
    """The log line of this event, once there are so many."""

    def lines() -> list[dict[str, object]]:
        return [line for line in log_of(forwarder) if line["event"] == event]

    wait_until(lambda: len(lines()) >= count, timeout=20.0, what=lambda: f"{event}; {forwarder.log()[-2000:]}")
    assert len(lines()) == count
    return lines()[-1]


@pytest.fixture
def naming_mosquitto(provisioned: None, authority: Authority, tmp_path: Path) -> NamingMosquitto:
    return NamingMosquitto(directory=tmp_path / "naming", authority=authority)


def test_what_is_renewed_is_taken_up_by_its_own_process_and_what_is_half_renewed_is_not(
    naming_mosquitto: NamingMosquitto,
    authority: Authority,
    make_kafka: MakeKafka,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
    tmp_path: Path,
) -> None:
    security = Security(protocol="SASL_SSL", users={USER: "first-4410"}, authority=authority, client_certificates=True)
    kafka = make_kafka(security=security)
    topics = Topics.unique().create(kafka.administration)
    client, password = authority.issue("kafka-client"), tmp_path / "kafka-password"
    password.write_text("first-4410\n")
    sasl = {"mechanism": "SCRAM-SHA-512", "username": USER, "password_file": str(password)}
    tls = {"ca_file": str(authority.ca_file), "certificate_file": str(client.certificate), "key_file": str(client.key)}
    with naming_mosquitto as fabric:
        forwarder = make_forwarder(
            fabric=fabric,
            kafka=kafka,
            topics=topics,
            options={"kafka": {"security": {"protocol": "sasl_ssl", **tls, "sasl": sasl}}},
            program=(sys.executable, "-c", IMPATIENT),
        )
        forwarder.start()
        publisher = make_publisher(fabric)
        publisher.publish_detections(range(10))
        forwarder.wait_until(lambda f: f.ledger()["published"] == 10, timeout=30.0)
        main, pids = forwarder.pid, {part: forwarder.part(part).pid for part in ("receiver", "publisher")}

        own, renewed = fabric.identity("forwarder"), authority.issue("forwarder-renewed")
        put(renewed, certificate=own.certificate)
        refused = said(forwarder, "renewal.refused")
        assert "does not belong to the certificate" in str(refused["faults"])
        assert forwarder.part("receiver").pid == pids["receiver"]
        assert forwarder.status()["state"] == "ok"
        put(renewed, key=own.key)
        assert said(forwarder, "renewal.done")["new_processes"] == ["receiver"]
        wait_until(
            lambda: "forwarder-renewed" in fabric.names(), timeout=20.0, what="the new certificate at the broker"
        )
        forwarder.wait_until(lambda f: f.status()["receiver"]["ready"], timeout=20.0)
        assert forwarder.part("publisher").pid == pids["publisher"]

        kafka.administration.set_scram_users({USER: "second-4411"})
        password.write_text("second-4411\n")
        assert said(forwarder, "renewal.done", 2)["new_processes"] == ["publisher"]
        publisher.publish_detections(range(10, 20))
        forwarder.wait_until(
            lambda f: f.ledger()["published"] == 20, timeout=30.0, what="published by the new password"
        )

        put(authority.issue("kafka-renewed"), certificate=client.certificate, key=client.key)
        assert said(forwarder, "renewal.done", 3)["new_processes"] == ["publisher"]
        own.certificate.write_bytes(own.certificate.read_bytes())
        publisher.publish_detections(range(20, 30))
        forwarder.wait_until(
            lambda f: f.ledger()["published"] == 30, timeout=30.0, what="published by the new certificate"
        )
        assert forwarder.pid == main
        assert fabric.names().count("forwarder-renewed") == 1, "the same content again is no renewal"
        assert forwarder.ledger()["imbalance"] == 0
        Judge(bootstrap_servers=kafka.internal_servers, topics=topics).verdict(range(30)).assert_exactly_once()
        assert "first-4410" not in forwarder.log()
        assert "second-4411" not in forwarder.log()
