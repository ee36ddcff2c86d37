"""A booted machine, the package, and what is around the service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeKafka
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.machine.machine import Machine
from tests.machine.service import PASSWORD, USER

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A clean one; its tree is removed afterwards."""
    with Machine(directory=tmp_path / "machine") as booted:
        yield booted
    shutil.rmtree(booted.root, ignore_errors=True)


@pytest.fixture
def locked_kafka(make_kafka: MakeKafka) -> KafkaCluster:
    """Asks for a password."""
    return make_kafka(security=Security(protocol="SASL_PLAINTEXT", users={USER: PASSWORD}))


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package of this source tree, as `make deb` builds it."""
    output = tmp_path_factory.mktemp("package")
    environment = {**os.environ, "PIP": f"{sys.executable} -m pip", "OUTPUT": str(output)}
    subprocess.run([ROOT / "deploy/debian/build.sh"], env=environment, check=True, stdout=subprocess.DEVNULL)
    (package,) = output.glob("*.deb")
    return package


@pytest.fixture(scope="session")
def next_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same content as the next version of the package."""
    output = tmp_path_factory.mktemp("next-package")
    subprocess.run(["dpkg-deb", "--raw-extract", package, output / "tree"], check=True)
    control = output / "tree/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^(Version: .*)-1$", r"\1-2", control.read_text()))
    file = output / package.name.replace("-1_", "-2_")
    command: list[str | Path] = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", output / "tree", file]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return file
