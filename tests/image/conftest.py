"""The image, mounted once, and what runs from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.harness.fabric import Fabric
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.topics import Topics
from tests.image.container import ContainedForwarder
from tests.image.image import Image
from tests.image.provision import missing


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """What `make image` built."""
    absent = missing()
    if absent:
        pytest.fail(f"{' and '.join(absent)}: missing; run `python -m tests.image.provision`")
    with Image() as mounted:
        yield mounted


class MakeContained(Protocol):
    """Makes a forwarder in a container that is not started yet; options as those of `Forwarder`."""

    def __call__(
        self, *, fabric: Fabric, kafka: KafkaCluster, topics: Topics, options: Any = None
    ) -> ContainedForwarder: ...


@pytest.fixture
def make_contained(image: Image, tmp_path: Path) -> Iterator[MakeContained]:
    """Forwarders from the image; their containers end with the test."""
    with ExitStack() as stack:

        def make(*, fabric: Fabric, kafka: KafkaCluster, topics: Topics, options: Any = None) -> ContainedForwarder:
            forwarder = ContainedForwarder(
                image=image,
                directory=tmp_path / "contained",
                fabric=fabric,
                bootstrap_servers=kafka.bootstrap_servers,
                topics=topics,
                options=options,
            )
            stack.callback(forwarder.discard)
            return forwarder

        yield make
