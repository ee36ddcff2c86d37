"""The image is small and says how it wants to be run; a build of the same commit gives the same image."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.image import Image, buildah

pytestmark = pytest.mark.image

ROOT = Path(__file__).parent.parent.parent
_AGAIN = "localhost/tie-forwarder-again"


def test_its_layers_have_at_most_215_megabytes(image: Image) -> None:
    size = image.layer_bytes()
    print(f"image: {size / 1e6:.1f} MB in layers, not compressed")
    assert size <= 215e6


def test_it_runs_as_a_numeric_user_without_a_shell_and_stops_by_sigterm(image: Image) -> None:
    config = image.config
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["tie-forwarder"]
    assert config["Cmd"] == ["run"]
    assert config["Healthcheck"]["Test"] == ["CMD", "tie-forwarder", "healthcheck"]
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["Volumes"]) == ["/var/lib/tie-forwarder"]


def test_its_labels_say_what_it_is_and_from_what_it_was_made(image: Image) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in image.config["Labels"].items()}
    for name in ("title", "description", "licenses", "version", "revision", "base.name"):
        assert labels[name], f"the label {name} is empty"
    base = json.loads(buildah("inspect", "--type", "image", labels["base.name"]))
    assert labels["base.digest"] == base["FromImageDigest"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", labels["base.digest"])


def test_it_carries_no_installer_and_the_bytecode_of_every_module_of_the_program(image: Image) -> None:
    home = image.tree / "opt/tie-forwarder"
    (packages,) = home.glob("lib/python3.*/site-packages")
    assert not (packages / "pip").exists()
    (compiled,) = home.glob("bytecode/opt/tie-forwarder/lib/python3.*/site-packages/tie_forwarder/supervisor")
    sources = {source.stem for source in (packages / "tie_forwarder/supervisor").glob("*.py")}
    assert {file.name.partition(".")[0] for file in compiled.glob("*.pyc")} == sources


@pytest.fixture
def image_again() -> Iterator[Image]:
    """The image built a second time."""
    script = [str(ROOT / "deploy/image/build.sh")]
    done = subprocess.run(
        script, env={**os.environ, "IMAGE": _AGAIN, "BUILDER": "buildah"}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    again = Image(f"{_AGAIN}:latest")
    yield again
    again.remove()


@pytest.mark.timeout(600)
def test_a_second_build_gives_the_same_layers(image: Image, image_again: Image) -> None:
    now, then = (built.config["Labels"]["org.opencontainers.image.revision"] for built in (image_again, image))
    assert now == then, "the image is of another commit; run `make image` first"
    assert image_again.layers == image.layers
