"""What README.md and docs/upgrade.md give for a virtual environment is run as it stands there, in a clean clone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.distribution.artifacts import ROOT
from tests.distribution.pythons import find, wanted
from tie_forwarder import __version__

pytestmark = [pytest.mark.distribution, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("document", "place"), [("README.md", "/opt/tie-forwarder"), ("docs/upgrade.md", "/opt/tie-forwarder-new")]
)
def test_the_commands_for_a_virtual_environment_install_the_program(document: str, place: str, tmp_path: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    installing = rf"^ {{4,}}(python3 -m venv {place}|{place}/bin/python -m pip .*)$"
    commands = re.findall(installing, text, re.MULTILINE)
    assert len(commands) == 3
    clone, environment = tmp_path / "clone", tmp_path / "environment"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    (tmp_path / "python3").symlink_to(find(wanted()[0]))
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        here = command.replace(place, str(environment))
        done = subprocess.run(
            here, shell=True, cwd=clone, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    said = subprocess.run(
        [environment / "bin" / "tie-forwarder", "version"], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[0] == f"tie-forwarder {__version__}"
