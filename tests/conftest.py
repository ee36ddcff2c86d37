"""The servers that tests ask for.

A server that is not installed skips its tests on a laptop and fails them in CI (environment variable CI). Servers of
the session are shared: a test that hurts a server asks for one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.harness.fabric import Fabric
from tests.harness.fake_fabric import FakeFabric
from tests.harness.forwarder import Forwarder
from tests.harness.judge import Judge
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import FabricPublisher
from tests.harness.mosquitto import Mosquitto
from tests.harness.provision import missing
from tests.harness.server_process import processes_left
from tests.harness.topics import Topics
from tie_forwarder.demo.certificates import Authority

SLOW = (
    "browser/", "check/test_connect", "check/test_fabric", "check/test_machine", "cli/test_find", "cli/test_streams",
    "cli/test_tail", "cli/test_simulate", "demo/", "distribution/", "docs/", "harness/", "http/test_status",
    "lifecycle/", "processes/", "receiver/test_edges", "receiver/test_hazards", "receiver/test_road",
    "supervisor/test_peers", "supervisor/test_renewal", "spool/test_tools", "systemd/",
)  # fmt: skip
"""Tests that need no server but start processes, and wait for them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the servers that they ask for, and those that `make quick` runs."""
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        place = item.path.relative_to(Path(__file__).parent).as_posix()
        if "provisioned" not in asked and not place.startswith(SLOW):
            item.add_marker("quick")
        if asked & {"kafka", "make_kafka"}:
            item.add_marker("kafka")
        if asked & {"mosquitto", "fabric"}:
            item.add_marker("fabric")


@pytest.fixture(scope="session", autouse=True)
def _no_process_left() -> Iterator[None]:
    # The first of the session's fixtures, so the last to end.
    yield
    left = processes_left()
    names = [f"{process.pid} {' '.join(process.cmdline())[:100]}" for process in left]
    for process in left:
        process.kill()
    assert not left, f"the tests left processes behind: {names}"


@pytest.fixture(scope="session")
def provisioned() -> None:
    """The servers are installed."""
    absent = missing()
    if absent:
        pytest.fail(f"{', '.join(absent)}: missing; run `python -m tests.harness.provision`")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of the session's servers and clients."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def mosquitto(provisioned: None, authority: Authority, tmp_path: Path) -> Iterator[Mosquitto]:
    """A fabric of the test's own; it starts in 50 ms."""
    with Mosquitto(directory=tmp_path / "mosquitto", authority=authority) as broker:
        yield broker


@pytest.fixture
def fake_fabric(authority: Authority, tmp_path: Path) -> Iterator[FakeFabric]:
    """A fabric that misbehaves on command."""
    with FakeFabric(directory=tmp_path / "fake-fabric", authority=authority) as fabric:
        yield fabric


@pytest.fixture(scope="session")
def kafka(provisioned: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One node for all tests that do not hurt it; use `topics` for names of the test's own."""
    with KafkaCluster(directory=tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


class MakeKafka(Protocol):
    """Starts a cluster for one test; takes what `KafkaCluster` takes, except the directory."""

    def __call__(self, **options: Any) -> KafkaCluster: ...


@pytest.fixture
def make_kafka(provisioned: None, tmp_path: Path) -> Iterator[MakeKafka]:
    """Clusters of the test's own, to configure and to hurt."""
    with ExitStack() as stack:
        count = iter(range(1_000))

        def make(**options: Any) -> KafkaCluster:
            return stack.enter_context(KafkaCluster(directory=tmp_path / f"kafka-{next(count)}", **options))

        yield make


@pytest.fixture
def own_kafka(make_kafka: MakeKafka) -> KafkaCluster:
    """One node of the test's own, to kill and to hang."""
    return make_kafka()


@pytest.fixture
def topics(kafka: KafkaCluster) -> Topics:
    """Output topics of the test's own in the shared `kafka`."""
    return Topics.unique().create(kafka.administration)


@pytest.fixture
def judge(kafka: KafkaCluster, topics: Topics) -> Judge:
    """Judges `topics` in the shared `kafka`."""
    return Judge(bootstrap_servers=kafka.internal_servers, topics=topics)


class MakeForwarder(Protocol):
    """Makes a forwarder that is not started yet; further arguments are those of `Forwarder`."""

    def __call__(
        self, *, fabric: Fabric, kafka: KafkaCluster, topics: Topics, name: str = "forwarder", **options: Any
    ) -> Forwarder: ...


@pytest.fixture
def make_forwarder(tmp_path: Path) -> Iterator[MakeForwarder]:
    """Forwarders of the test's own; all their processes end with it."""
    with ExitStack() as stack:

        def make(
            *, fabric: Fabric, kafka: KafkaCluster, topics: Topics, name: str = "forwarder", **options: Any
        ) -> Forwarder:
            forwarder = Forwarder(
                directory=tmp_path / name,
                dxl_config=fabric.client_config(name),
                bootstrap_servers=kafka.bootstrap_servers,
                topics=topics,
                name=name,
                **options,
            )
            stack.callback(forwarder.discard)
            return forwarder

        yield make


class MakePublisher(Protocol):
    """Connects a publisher of detections to a fabric."""

    def __call__(self, fabric: Fabric, name: str = "load") -> FabricPublisher: ...


@pytest.fixture
def make_publisher() -> Iterator[MakePublisher]:
    """Publishers of the test's own."""
    with ExitStack() as stack:

        def make(fabric: Fabric, name: str = "load") -> FabricPublisher:
            return stack.enter_context(FabricPublisher(fabric=fabric, name=name))

        yield make
