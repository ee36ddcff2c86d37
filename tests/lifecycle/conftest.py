"""A forwarder with everything around it, and one without Kafka."""

from __future__ import annotations

import pytest

from tests.conftest import MakeForwarder
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tests.lifecycle.running import NoKafka


@pytest.fixture
def forwarder(mosquitto: Mosquitto, kafka: KafkaCluster, topics: Topics, make_forwarder: MakeForwarder) -> Forwarder:
    """One that is not started yet."""
    return make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)


@pytest.fixture
def lonely_forwarder(mosquitto: Mosquitto, make_forwarder: MakeForwarder) -> Forwarder:
    """One whose Kafka is not there; not started yet."""
    return make_forwarder(fabric=mosquitto, kafka=NoKafka(), topics=Topics.unique())  # type: ignore[arg-type]
