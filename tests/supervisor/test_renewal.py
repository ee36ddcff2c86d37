"""Looking for renewed files: what is new is taken up once it stands still and is in order, each fault is said once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.clock import Clock
from tie_forwarder.config import Config, Fault, load
from tie_forwarder.config.inspection import Inspection
from tie_forwarder.supervisor.reload import Certificates, inputs_of

FAULT = Fault("", "key", None, "does not fit", "")


class Scene:
    """A dxlclient.config that names files by its lines, and a look at them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "config.yaml").write_text("{}")
        self.config = load(directory / "config.yaml", environ={})
        self.faults: list[Fault] = []
        self.inspections = 0
        self.write("dxlclient.config", "client.crt")
        self.write("client.crt", "old")
        found = self.inspect(self.config)
        self.in_use = inputs_of(self.config, found.dxl_files)
        self.certificates = Certificates(
            monotonic=Clock(), first=found, in_use=lambda: self.in_use, inspection=self.inspect
        )
        self.inspections = 0

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def inspect(self, config: Config) -> Inspection:
        self.inspections += 1
        names = config.dxl.config_file.read_text().split()
        return Inspection(self.faults, [], [self.directory / name for name in names])

    def look(self) -> Inspection | None:
        self.certificates.look(self.config)
        return self.certificates.take_renewal()

    def take_up(self, found: Inspection | None) -> None:
        """As the supervisor and Reload do."""
        assert found is not None
        self.in_use = inputs_of(self.config, found.dxl_files)
        self.certificates.replace(found)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_what_has_not_changed_is_not_inspected(scene: Scene) -> None:
    scene.look()
    scene.write("client.crt", "old")
    assert scene.look() is None
    assert scene.inspections == 0


def test_a_change_is_taken_up_once_it_stands_still(scene: Scene) -> None:
    scene.write("client.crt", "half")
    assert scene.look() is None
    scene.write("client.crt", "new")
    assert scene.look() is None
    scene.take_up(scene.look())
    assert scene.look() is None
    assert scene.inspections == 1


def test_a_fault_is_said_once_and_what_mends_it_is_taken_up(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.faults = [FAULT]
    scene.write("client.crt", "new")
    assert [scene.look() for _ in range(5)] == [None] * 5
    assert [record.message for record in caplog.records] == ["renewal.refused"]
    scene.faults = []
    scene.write("client.crt", "newer")
    scene.look()
    scene.take_up(scene.look())
    assert scene.inspections == 2


def test_files_that_are_named_anew_and_come_later_are_seen(scene: Scene) -> None:
    scene.faults = [FAULT]
    scene.write("dxlclient.config", "client.crt another.key")
    assert [scene.look() for _ in range(3)] == [None] * 3
    scene.faults = []
    scene.write("another.key", "key")
    scene.look()
    scene.take_up(scene.look())
    assert scene.look() is None


def test_files_that_were_put_back_are_no_change(scene: Scene) -> None:
    scene.faults = [FAULT]
    scene.write("client.crt", "new")
    scene.look()
    scene.look()
    scene.write("client.crt", "old")
    assert [scene.look() for _ in range(3)] == [None] * 3
    assert scene.inspections == 1
