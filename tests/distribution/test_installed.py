"""What `make dist` made is installed into an empty environment of each Python, and works there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.distribution.artifacts import sdist, wheel
from tests.distribution.pythons import find, wanted
from tie_forwarder import __version__

ROOT = Path(__file__).parents[2]
# `make test` has them, and they ask for more than a Python: the simulation, real groups, the unit of systemd.
ELSEWHERE = ("tests/group/test_simulation.py", "tests/group/test_groups.py", "tests/systemd")
SAMPLE = ROOT / "tests" / "data" / "detection.json"

pytestmark = [pytest.mark.distribution, pytest.mark.timeout(1_800)]


class Environment:
    """A virtual environment with the locked packages and one artifact; nothing of the tree is on its path."""

    def __init__(self, *, version: str, directory: Path) -> None:
        self.version = version
        self.bin = directory / "venv" / "bin"
        self._elsewhere = directory / "elsewhere"
        self._elsewhere.mkdir()
        self._run([ROOT / "tests/harness/make_venv.sh", find(version), directory / "venv"])
        self.pip("--require-hashes", "--no-deps", "-r", ROOT / "requirements.lock")

    def pip(self, *arguments: str | Path) -> None:
        self._run([self.bin / "python", "-m", "pip", "install", "--quiet", *arguments])

    def program(self, *arguments: str | Path, code: int = 0) -> str:
        return self._run([self.bin / "tie-forwarder", *arguments], code=code)

    def python(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        return self._run([self.bin / "python", *arguments], cwd=cwd)

    def _run(self, command: Sequence[str | Path], *, cwd: Path | None = None, code: int = 0) -> str:
        done = subprocess.run(
            command, cwd=cwd or self._elsewhere, env=_clean(os.environ), capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{command} ended with {done.returncode}\n{done.stdout[-8_000:]}{done.stderr}"
        return done.stdout


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONS", "MANPATH")
    return {name: value for name, value in environ.items() if name not in ours and not name.startswith("PYTEST_")}


@pytest.fixture(scope="module", params=wanted())
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(version=request.param, directory=tmp_path_factory.mktemp(f"python-{request.param}"))
    made.pip("--no-deps", "--no-index", wheel())
    return made


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist without its package, so that its tests can meet only what is installed."""
    directory = tmp_path_factory.mktemp("sdist")
    with tarfile.open(sdist()) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(directory, filter="data")
        else:
            archive.extractall(directory)
    (root,) = directory.iterdir()
    shutil.rmtree(root / "tie_forwarder")
    return root


def test_the_locked_packages_are_all_that_it_needs(environment: Environment) -> None:
    environment.python("-m", "pip", "check")


def test_it_says_its_version_and_that_of_its_python(environment: Environment) -> None:
    lines = environment.program("version").splitlines()
    assert lines[0] == f"tie-forwarder {__version__}"
    assert lines[1].startswith(f"python {environment.version}.")
    assert not [line for line in lines if "not installed" in line]


def test_check_reads_the_published_configuration_and_names_what_is_missing(
    environment: Environment, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "config.yaml", tmp_path)
    shown = environment.program("check", "--config", tmp_path / "config.yaml", code=78)
    assert "kafka.delivery = exactly_once" in shown


def test_decode_shows_the_record_of_the_sample(environment: Environment) -> None:
    record = json.loads(environment.program("decode", SAMPLE))["record"]
    assert record["value"]["name"] == "FOCUS_MALWARE2.EXE"


def test_man_finds_its_page_when_it_is_on_the_path(environment: Environment) -> None:
    page = environment.bin.parent / "share" / "man" / "man1" / "tie-forwarder.1"
    asked = ["env", f"PATH={environment.bin}{os.pathsep}{os.environ['PATH']}", "man", "--where", "tie-forwarder"]
    found = subprocess.run(asked, env=_clean(os.environ), capture_output=True, text=True, check=False)
    assert Path(found.stdout.strip()) == page, found.stderr


def test_its_types_and_its_schemas_are_there(environment: Environment) -> None:
    assert json.loads(environment.program("schema", "detection", "--format", "ocsf"))
    script = (
        "import tie_forwarder, pathlib; print((pathlib.Path(tie_forwarder.__file__).parent / 'py.typed').is_file())"
    )
    assert environment.python("-c", script) == "True\n"


def no_server() -> str:
    """The tests without any of the project's marks, each of which stands for a server or for a target of its own."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    marks = re.findall(r'^    "(\w+): ', project.partition("\nmarkers = [")[2].partition("\n]")[0], re.MULTILINE)
    assert {"kafka", "fabric", "distribution"} <= set(marks)
    return " and ".join(f"not {mark}" for mark in marks)


def test_the_tests_that_need_no_server_pass_with_what_is_installed(environment: Environment, unpacked: Path) -> None:
    environment.pip("--require-hashes", "--no-deps", "-r", unpacked / "tests" / "requirements.lock")
    script = "import tie_forwarder; print(tie_forwarder.__file__)"
    assert "site-packages" in environment.python("-c", script, cwd=unpacked)
    ignored = [f"--ignore={path}" for path in ELSEWHERE]
    selection = ["-m", "pytest", "-q", "-m", no_server(), *ignored]
    try:
        said = environment.python(*selection, cwd=unpacked)
    except AssertionError as error:
        # Some hold the program to a promise in seconds, which a busy machine breaks; alone they must pass.
        print(f"Python {environment.version}, tried again: {error}")
        said = environment.python(*selection, "--last-failed", "--last-failed-no-failures", "none", cwd=unpacked)
    print(f"Python {environment.version}: {said.strip().splitlines()[-1]}")


def test_the_sdist_installs_as_well(environment: Environment, tmp_path: Path) -> None:
    target = tmp_path / "target"
    environment.pip("--no-deps", "--target", target, sdist())
    assert (target / "tie_forwarder" / "py.typed").is_file()
