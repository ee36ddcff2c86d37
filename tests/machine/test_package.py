"""The Debian package from its installation to its purge, in a clean Debian with a running systemd."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import MakePublisher
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.machine.machine import Machine
from tests.machine.service import Service, copy_into

pytestmark = [pytest.mark.machine, pytest.mark.timeout(600)]

MOST_MEGABYTES = 40


def test_lintian_finds_no_error(package: Path) -> None:
    done = subprocess.run(["lintian", "--fail-on=error", package], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert package.stat().st_size < MOST_MEGABYTES * 1e6


def test_the_package_serves_is_upgraded_and_removed_and_keeps_the_spool_until_it_is_purged(
    machine: Machine,
    package: Path,
    next_package: Path,
    mosquitto: Mosquitto,
    locked_kafka: KafkaCluster,
    make_publisher: MakePublisher,
) -> None:
    topics = Topics.unique().create(locked_kafka.administration)
    service = Service(machine=machine, fabric=mosquitto, kafka=locked_kafka, topics=topics)
    judge = Judge(bootstrap_servers=locked_kafka.internal_servers, topics=topics)

    said = machine.run("dpkg", "--install", copy_into(machine, package)).stdout
    assert "not started, because it has no /etc/tie-forwarder/dxlclient.config yet" in said
    assert machine.property("UnitFileState") == "enabled"
    assert machine.property("ActiveState") == "inactive"
    assert "tie-forwarder" in machine.run("tie-forwarder", "version").stdout
    checked = machine.run("tie-forwarder", "check", check=False)
    assert checked.returncode == 78
    assert "/etc/tie-forwarder/dxlclient.config': does not exist; make it with" in checked.stderr
    assert machine.run("dpkg", "--verify", "tie-forwarder").stdout == ""

    service.configure()
    machine.run("systemctl", "start", "tie-forwarder")
    assert machine.property("ActiveState") == "active"
    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(20))
    wait_until(lambda: service.has(published=20), timeout=40.0, what=lambda: machine.journal()[-3000:])
    wait_until(lambda: machine.property("StatusText").startswith("ok: "), timeout=10.0, what="the words of the status")

    locked_kafka.kill()
    publisher.publish_detections(range(20, 30))
    wait_until(lambda: service.has(in_spool=10), timeout=20.0, what="ten in the spool")
    main = machine.property("MainPID")
    machine.run("dpkg", "--install", copy_into(machine, next_package))
    machine.wait_for("ActiveState", "active")
    assert machine.property("MainPID") != main
    wait_until(lambda: service.has(in_spool_at_start=10), timeout=20.0, what="the spool of the version before")
    assert machine.property("NRestarts") == "0"

    machine.run("dpkg", "--remove", "tie-forwarder")
    machine.wait_for("ActiveState", "inactive")
    assert (service.spool / "spool.sqlite").exists()
    assert (service.etc / "config.yaml").exists()
    assert not (machine.root / "usr/lib/tie-forwarder").exists()
    locked_kafka.start()
    machine.run("dpkg", "--install", copy_into(machine, package))
    wait_until(
        lambda: service.has(in_spool_at_start=10, published=10), timeout=60.0, what=lambda: machine.journal()[-3000:]
    )
    judge.verdict(range(30)).assert_exactly_once()

    purged = machine.run("dpkg", "--purge", "tie-forwarder")
    assert purged.stderr == ""
    for path in ("etc/tie-forwarder", "var/lib/tie-forwarder", "usr/lib/tie-forwarder", "usr/bin/tie-forwarder"):
        assert not (machine.root / path).exists(), path
    assert not service.credential.exists()
