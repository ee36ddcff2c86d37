"""The log of a running daemon: its summary, its level at run time, its end."""

from __future__ import annotations

import signal

import yaml

from tests.conftest import MakeForwarder, MakeKafka, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.lifecycle.running import log_of, reload


def levels_of(forwarder: Forwarder, process: str | None) -> set[str]:
    return {line["level"] for line in log_of(forwarder) if line.get("process") == process}


def test_the_start_is_summed_up_the_level_changes_at_run_time_and_the_end_has_the_ledger(
    lonely_forwarder: Forwarder, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    forwarder = lonely_forwarder
    forwarder.config["shutdown"] = {"drain_seconds": 0}
    forwarder.start()
    (started,) = [line for line in log_of(forwarder) if line["event"] == "forwarder.started"]
    assert started["versions"]["tie-forwarder"] == started["version"]
    assert started["brokers"] == [f"127.0.0.1:{mosquitto.port}"]
    assert started["kafka"] == ["127.0.0.1:9"]
    assert started["topics"] == [forwarder.config["kafka"]["topics"][kind] for kind in ("detection", "dead_letter")]
    assert (started["group"], started["member"]) == (forwarder.config["group"]["name"], "forwarder")
    assert started["in_spool"] == 0
    assert started["certificates"]["dxl_client"].startswith("20")

    publisher = make_publisher(mosquitto)
    publisher.publish_detections(range(300))
    forwarder.wait_until(lambda f: f.ledger()["in_spool"] == 300, timeout=20.0)
    assert len(log_of(forwarder)) < 40, "nothing is said of single events"
    assert "debug" not in levels_of(forwarder, None)
    forwarder.config["log"] = {"level": "debug"}
    forwarder.config_file.write_text(yaml.safe_dump(forwarder.config))
    done = reload(forwarder)
    assert (done["changed"], done["new_processes"]) == (["log.level"], [])
    wait_until(lambda: "debug" in levels_of(forwarder, "receiver"), timeout=20.0, what="the receiver's talk")
    forwarder.kill_part("publisher")
    wait_until(lambda: "debug" in levels_of(forwarder, None), timeout=20.0, what="the main process's talk")
    forwarder.signal(signal.SIGTERM)
    wait_until(lambda: not forwarder.alive, timeout=20.0, what="the end")
    last = log_of(forwarder)[-1]
    assert (last["event"], last["received"], last["in_spool"], last["imbalance"]) == ("forwarder.stopped", 300, 300, 0)


def test_not_even_the_debug_log_shows_a_password(
    make_kafka: MakeKafka,
    mosquitto: Mosquitto,
    topics: Topics,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> None:
    password = 'it\'s \\ a "p\u00e4ssword"-tulip'
    kafka = make_kafka(security=Security(protocol="SASL_PLAINTEXT", users={"forwarder": "tulip-plain"}))
    for secret in ("tulip-plain", password):
        forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
        sasl = {"mechanism": "PLAIN", "username": "forwarder", "password": secret}
        forwarder.config["kafka"]["security"] = {"protocol": "sasl_plaintext", "sasl": sasl}
        forwarder.config["log"] = {"level": "debug"}
        forwarder.start()
        forwarder.wait_until(
            lambda f: "SaslAuthenticateRequest" in f.log() and "KafkaAdminClient with configuration" in f.log(),
            timeout=30.0,
            what="kafka-python has logged its settings and its login",
        )
        assert "tulip" not in forwarder.log()
        forwarder.stop()
