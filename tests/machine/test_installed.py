"""`make install` and the commands of docs/deploy.md, in a clean Debian with a running systemd."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import MakePublisher
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.machine.machine import Machine
from tests.machine.service import PASSWORD, Service

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def commands(section: str) -> list[str]:
    """The commands of a section, in their order."""
    found = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return re.findall(r"^ {4,7}([a-z/][^\n]*)$", found[1], re.MULTILINE)


def make(machine: Machine, command: str, **variables: str) -> str:
    """`make install` and `make uninstall` of the document, into the machine's tree."""
    given = {"DESTDIR": str(machine.root), "PYTHON": "/usr/bin/python3", "PIP": f"{sys.executable} -m pip", **variables}
    done = subprocess.run(
        [*command.split(), *(f"{name}={value}" for name, value in given.items())],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settle(machine: Machine) -> None:
    """What `make install` does besides where it installs into the system that runs."""
    machine.run("systemd-sysusers")
    machine.run("systemd-tmpfiles", "--create", "tie-forwarder.conf")
    machine.run("systemctl", "daemon-reload")


def test_install_and_the_commands_of_the_document_make_a_service_that_an_administrator_can_trust(
    machine: Machine, mosquitto: Mosquitto, locked_kafka: KafkaCluster, make_publisher: MakePublisher
) -> None:
    topics = Topics.unique().create(locked_kafka.administration)
    service = Service(machine=machine, fabric=mosquitto, kafka=locked_kafka, topics=topics)
    install, *rest, uninstall = commands("systemd")
    assert (install.split()[:2], uninstall.split()[:2]) == (["make", "install"], ["make", "uninstall"])
    make(machine, install)
    settle(machine)
    configuration = service.etc / "config.yaml"
    assert yaml.safe_load(configuration.read_text())["spool"]["directory"] == "/var/lib/tie-forwarder/spool"

    prepare(machine, service)
    secret, check, enable, status, journal, verify, security, template = rest
    machine.shell(f"printf '%s\\n' {PASSWORD} | {secret}")
    assert "the service would work" in machine.shell(check).stdout
    machine.shell(enable)
    make_publisher(mosquitto).publish_detections(range(10))
    wait_until(lambda: service.has(published=10), timeout=40.0, what=lambda: machine.journal()[-3000:])
    assert re.search(r'Status: "(ok|standby)', machine.shell(status).stdout)
    assert machine.shell(verify).stderr == ""
    assert "Overall exposure level for tie-forwarder.service: 1." in machine.shell(security).stdout
    assert len(machine.shell(journal).stdout.splitlines()) == 5

    is_reloaded_and_renewed(machine, service, mosquitto)
    is_started_again_when_it_hangs(machine)
    waits_for_its_fabric(machine, mosquitto)
    says_once_what_is_wrong(machine, service)
    serves_another_fabric(machine, template, mosquitto, locked_kafka)

    machine.wait_for("ActiveState", "active")
    make_publisher(mosquitto, "later").publish_detections(range(10, 20))
    judge = Judge(bootstrap_servers=locked_kafka.internal_servers, topics=topics)
    wait_until(lambda: judge.verdict(range(20)).records == 20, timeout=40.0, what=lambda: machine.journal()[-3000:])
    configuration.write_text(f"# mine\n{configuration.read_text()}")
    machine.run("systemctl", "stop", "tie-forwarder")
    assert "are kept" in make(machine, uninstall)
    assert (service.spool / "spool.sqlite").exists()
    assert configuration.read_text().startswith("# mine")
    assert not list((machine.root / "etc/systemd/system").glob("tie-forwarder*"))
    assert not list((machine.root / "usr/local").rglob("*tie-forwarder*"))
    make(machine, uninstall, PURGE="1")
    assert not service.credential.exists()
    assert not service.etc.exists()
    assert not service.spool.exists()


def prepare(machine: Machine, service: Service) -> None:
    """The commands of the section for all ways; dxlclient's needs a real fabric, so its files are laid out instead."""
    provision, *rights = commands("Before the first start")
    assert provision.startswith("/usr/lib/tie-forwarder/bin/python -m dxlclient provisionconfig")
    service.lay_out()
    for command in rights:
        machine.shell(command)


def is_reloaded_and_renewed(machine: Machine, service: Service, mosquitto: Mosquitto) -> None:
    """On a reload, and without one where a certificate was renewed by the document's commands."""
    main = machine.property("MainPID")
    machine.run("systemctl", "reload", "tie-forwarder")
    wait_until(lambda: "reload.done" in machine.journal(), timeout=20.0, what="the reload")
    machine.wait_for("ActiveState", "active")

    certificate, key, journal = commands("Renewing certificates and passwords")
    renewed = mosquitto.authority.issue("renewed")
    new = machine.root / "root/new"
    new.mkdir()
    (new / "client.crt").write_bytes(renewed.certificate.read_bytes())
    (new / "client.key").write_bytes(renewed.key.read_bytes())
    for command in (certificate, key):
        machine.shell(f"cd /root && {command.replace('tie-forwarder/client', 'tie-forwarder/node-1')}")
    wait_until(lambda: "renewal.done" in machine.shell(journal, check=False).stdout, timeout=40.0, what="the renewal")
    wait_until(lambda: service.status()["receiver"]["ready"], timeout=20.0, what="a receiver with the new certificate")
    assert machine.property("MainPID") == main


def is_started_again_when_it_hangs(machine: Machine) -> None:
    """By the watchdog, whose minute is made short here."""
    main, drop_in = machine.property("MainPID"), "/run/systemd/system/tie-forwarder.service.d"
    short = "[Service]\\nWatchdogSec=6\\nRestartSec=1\\nTimeoutStartSec=8\\n"
    machine.shell(f"mkdir -p {drop_in} && printf '{short}' >{drop_in}/test.conf")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "tie-forwarder")
    main = machine.property("MainPID")
    machine.shell(f"kill -STOP {main}")
    machine.wait_for("NRestarts", "1")
    machine.wait_for("ActiveState", "active")
    assert machine.property("MainPID") != main
    assert "Watchdog timeout" in machine.journal()


def waits_for_its_fabric(machine: Machine, mosquitto: Mosquitto) -> None:
    """Longer than TimeoutStartSec, which is short by now, and says so meanwhile."""
    machine.run("systemctl", "stop", "tie-forwarder")
    mosquitto.stop()
    machine.run("systemctl", "start", "--no-block", "tie-forwarder")
    machine.wait_for("ActiveState", "activating")
    main, started = machine.property("MainPID"), time.monotonic()
    wait_until(lambda: time.monotonic() - started > 16.0, timeout=20.0, what="twice the time to start")
    assert (machine.property("ActiveState"), machine.property("MainPID")) == ("activating", main)
    assert machine.property("StatusText").startswith("degraded, ")
    mosquitto.start()
    machine.wait_for("ActiveState", "active")
    assert machine.property("MainPID") == main


def says_once_what_is_wrong(machine: Machine, service: Service) -> None:
    """And is not started again and again: a credential that is missing, a key that is closed to the service."""
    key = service.etc / "node-1.key"
    faults: list[tuple[Callable[[], object], str, Callable[[], object]]] = [
        (service.credential.unlink, "kafka-password': does not exist", lambda: service.write_secret(PASSWORD)),
        (lambda: key.chmod(0o600), "node-1.key': cannot be read: Permission denied", lambda: key.chmod(0o640)),
    ]
    for spoil, sentence, mend in faults:
        spoil()
        assert machine.run("systemctl", "restart", "tie-forwarder", check=False).returncode != 0
        assert [machine.property(name) for name in ("ActiveState", "Result", "ExecMainStatus", "NRestarts")] == [
            "failed", "exit-code", "78", "0",
        ]  # fmt: skip
        assert machine.journal().count(sentence) == 1
        mend()
        machine.run("systemctl", "reset-failed", "tie-forwarder")
        machine.run("systemctl", "start", "tie-forwarder")


def serves_another_fabric(machine: Machine, command: str, mosquitto: Mosquitto, kafka: KafkaCluster) -> None:
    """By the template unit, beside the first."""
    topics = Topics.unique().create(kafka.administration)
    service = Service(machine=machine, fabric=mosquitto, kafka=kafka, topics=topics, place="lab")
    service.configure()
    machine.shell(command)
    machine.wait_for("ActiveState", "active", unit=service.unit)
    assert (service.spool / "spool.sqlite").exists()
    machine.run("systemctl", "disable", "--now", service.unit)
