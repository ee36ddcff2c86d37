"""Each state is brought about for real, on a real fabric and a real Kafka, and the page says it in words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.statuses import EXAMPLE, letter
from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.browser import Browser, Visit
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics

pytestmark = pytest.mark.browser

HOSTILE = b"</script><script>document.title='owned'</script>\x1b[2J\xe2\x80\xaegpj.exe"
LOOKS: dict[str, dict[str, Any]] = {"light": {}, "dark": {"dark": True}, "phone": {"width": 360}}


class Members:
    """Two members of one group, and a forwarder whose topics are missing, on one fabric and one Kafka."""

    def __init__(self, fabric: Mosquitto, kafka: KafkaCluster, make: MakeForwarder) -> None:
        topics = Topics.unique("page").create(kafka.administration)
        self.first, self.second = (
            make(fabric=fabric, kafka=kafka, topics=topics, name=name, group="detections") for name in ("one", "two")
        )
        self.blocked = make(fabric=fabric, kafka=kafka, topics=Topics.unique("missing"), name="three")

    def start(self, publish: Any) -> None:
        """Starts all; the first one publishes."""
        self.blocked.start(wait_ready=False)
        self.first.start()
        publish()
        self.first.wait_until(lambda f: f.ledger()["published"] > 0, timeout=30.0)
        self.second.start()


@pytest.fixture
def members(mosquitto: Mosquitto, own_kafka: KafkaCluster, make_forwarder: MakeForwarder) -> Members:
    return Members(mosquitto, own_kafka, make_forwarder)


class Viewer:
    """Looks at forwarders as people do."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def see(self, forwarder: Forwarder, state: str) -> Visit:
        """The page of a forwarder in this state, after it was photographed in each look."""
        forwarder.wait_until(lambda f: f.status()["state"] == state, timeout=45.0, what=state)
        url = f"http://127.0.0.1:{forwarder.http_port}/"
        for name, look in LOOKS.items():
            visit = self._browser.visit(url, **look)
            visit.photograph(f"{state}-{name}")
            assert (visit.complaints, visit.strangers, visit.overflows) == ([], [], False)
            visit.close()
        return self._browser.visit(url)


@pytest.fixture
def viewer(browser: Browser) -> Viewer:
    return Viewer(browser)


def health_of(visit: Visit) -> dict[str, str]:
    """The health that each part is drawn in."""
    drawn: dict[str, str] = visit.value(
        "Object.fromEntries([...document.querySelectorAll('.part')].map(p => [p.dataset.part, p.classList[1]]))"
    )
    return drawn


def test_every_state_is_shown_as_it_comes_and_the_faulty_part_stands_out(
    members: Members, own_kafka: KafkaCluster, mosquitto: Mosquitto, make_publisher: MakePublisher, viewer: Viewer
) -> None:
    publisher = make_publisher(mosquitto)
    members.start(lambda: publisher.publish_detections(range(300)))
    publisher.publish([HOSTILE])
    members.first.wait_until(lambda f: f.status()["dead_letters"]["total"] == 1, timeout=20.0)
    publisher.publish_detections(range(300, 600), rate=150)
    assert_same_keys(members.first.status(), EXAMPLE)

    well = viewer.see(members.first, "ok")
    assert well.page.inner_text("h1") == "OK"
    assert health_of(well) == {**dict.fromkeys(health_of(well), "ok"), "intake": "attention"}
    shown = "</script><script>document.title='owned'</script>\\x1b[2J\\u202egpj.exe"
    assert well.page.inner_text(".letters pre") == shown
    assert well.page.title() == "OK \u00b7 one"
    assert "DXL, this client" in well.page.inner_text(".certificates")

    standby = viewer.see(members.second, "standby")
    assert "another member of the group publishes" in standby.page.inner_text(".banner")
    assert health_of(standby)["publisher"] == "idle"
    assert "one" in standby.page.inner_text(".group")
    standby.close()

    blocked = viewer.see(members.blocked, "blocked")
    assert "unknown_topic" in blocked.page.inner_text(".banner")
    assert health_of(blocked)["kafka"] == "fault"
    assert blocked.page.inner_text(".remedy") != ""
    blocked.close()

    own_kafka.stop()
    publisher.publish_detections(range(600, 800))
    well.wait_for("Buffering", within="h1", seconds=45.0)
    assert health_of(well)["kafka"] == "attention"
    assert health_of(well)["publisher"] == "waiting"
    viewer.see(members.first, "buffering").close()

    mosquitto.stop()
    well.wait_for("Degraded", within="h1", seconds=45.0)
    assert "fabric_unreachable" in well.page.inner_text(".banner")
    assert health_of(well)["fabric"] == "fault"
    assert health_of(well)["receiver"] == "waiting"
    viewer.see(members.first, "degraded").close()
    assert (well.complaints, well.strangers) == ([], [])
    well.close()


def assert_same_keys(real: dict[str, Any], example: dict[str, Any]) -> None:
    """The example that the other tests show is what a forwarder says."""
    assert real.keys() == example.keys()
    for name, section in example.items():
        if isinstance(section, dict) and name not in ("versions", "ledger"):
            assert real[name].keys() == section.keys(), name
    assert real["dead_letters"]["last"][0].keys() == letter().keys()
