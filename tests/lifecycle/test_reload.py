"""SIGHUP takes up what has changed, and disturbs nothing that has not."""

from __future__ import annotations

import os

import yaml

from tests.config.test_hostile import CASES
from tests.conftest import MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.lifecycle.running import reload


def test_sighup_takes_up_what_it_can_says_what_it_cannot_and_refuses_what_is_wrong(
    lonely_forwarder: Forwarder,
    kafka: KafkaCluster,
    topics: Topics,
    judge: Judge,
    mosquitto: Mosquitto,
    make_publisher: MakePublisher,
) -> None:
    forwarder = lonely_forwarder
    forwarder.config["kafka"]["topics"] = topics.configuration()
    forwarder.start()
    make_publisher(mosquitto).publish_detections(range(50))
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 50, timeout=10.0)
    receiver, publisher = forwarder.part("receiver").pid, forwarder.part("publisher").pid

    good = forwarder.config_file.read_text()
    forwarder.config_file.write_text(good + "surplus: 1\nshutdown: {drain_seconds: soon}\n")
    faults = reload(forwarder)["faults"]
    assert "surplus" in faults[0] + faults[1]
    assert "shutdown.drain_seconds" in faults[0] + faults[1]
    assert (forwarder.part("receiver").pid, forwarder.part("publisher").pid) == (receiver, publisher)

    forwarder.config["http"]["listen"] = "127.0.0.1:1"
    forwarder.config["shutdown"] = {"drain_seconds": 7}
    forwarder.config["log"] = {"level": "debug"}
    forwarder.config["kafka"]["bootstrap_servers"] = list(kafka.bootstrap_servers)
    forwarder.config_file.write_text(yaml.safe_dump(forwarder.config))
    done = reload(forwarder)
    assert sorted(done["changed"]) == ["kafka.bootstrap_servers", "log.level", "shutdown.drain_seconds"]
    assert done["need_a_restart"] == ["http.listen"]
    assert done["new_processes"] == ["publisher"]
    forwarder.wait_until(lambda f: f.ledger()["published"] == 50, timeout=30.0, what="published by the new address")
    judge.verdict(range(50)).assert_exactly_once()
    assert forwarder.part("receiver").pid == receiver, "nothing is missed for what is not its own"
    wait_until(lambda: '"level": "debug"' in forwarder.log(), timeout=5.0, what="a log line of the new level")

    name = str(forwarder.config["group"]["member"])
    old = mosquitto.identity(name).certificate.read_bytes()
    assert mosquitto.authority.issue(name).certificate.read_bytes() != old
    assert reload(forwarder)["new_processes"] == ["receiver"]
    forwarder.wait_until(lambda f: f.status()["receiver"]["pid"] not in (0, receiver), timeout=20.0)
    forwarder.wait_until(lambda f: f.get("/readyz")[0] == 200 and f.status()["receiver"]["ready"], timeout=15.0)
    make_publisher(mosquitto, "later").publish_detections(range(50, 60))
    forwarder.wait_until(lambda f: f.ledger()["published"] == 60, timeout=20.0)
    assert forwarder.ledger()["imbalance"] == 0


def test_no_content_of_the_configuration_ends_a_running_daemon(lonely_forwarder: Forwarder) -> None:
    forwarder = lonely_forwarder
    forwarder.config["shutdown"] = {"drain_seconds": 0}
    forwarder.start()
    pids = forwarder.part("receiver").pid, forwarder.part("publisher").pid
    good = forwarder.config_file.read_bytes()
    for content in CASES.values():
        forwarder.config_file.write_bytes(content)
        assert reload(forwarder)["event"] == "reload.refused"
    forwarder.config_file.unlink()
    os.mkfifo(forwarder.config_file)
    assert "not a regular file" in reload(forwarder)["faults"][0]
    forwarder.config_file.unlink()
    forwarder.config_file.mkdir()
    assert "Is a directory" in reload(forwarder)["faults"][0]
    forwarder.config_file.rmdir()
    forwarder.config_file.write_bytes(good)
    assert reload(forwarder)["event"] == "reload.done"
    assert (forwarder.part("receiver").pid, forwarder.part("publisher").pid) == pids
    assert "Traceback" not in forwarder.log()
    forwarder.stop()
