"""The sdist, the wheel and the SBOM: what is in them, and that they come out the same wherever they are built."""

from __future__ import annotations

import email
import json
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.distribution.artifacts import ROOT, SBOM, sdist, wheel
from tests.distribution.shipped import shipped
from tie_forwarder import __version__

TOOLS_PYTHON = ROOT / ".venv-distribution" / "bin" / "python"

pytestmark = pytest.mark.distribution


@pytest.fixture
def wheel_names() -> set[str]:
    with zipfile.ZipFile(wheel()) as archive:
        return set(archive.namelist())


def tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def test_the_wheel_has_at_most_one_megabyte() -> None:
    assert wheel().stat().st_size <= 1_000_000


def test_the_wheel_has_the_package_its_types_its_licence_and_nothing_of_the_tests(wheel_names: set[str]) -> None:
    package = {name for name in tracked() if name.startswith("tie_forwarder/")}
    assert package <= wheel_names
    assert "tie_forwarder/py.typed" in wheel_names
    assert f"tie_forwarder-{__version__}.dist-info/licenses/LICENSE" in wheel_names
    assert {name.partition("/")[0] for name in wheel_names} == {
        "tie_forwarder", f"tie_forwarder-{__version__}.data", f"tie_forwarder-{__version__}.dist-info"
    }  # fmt: skip


def test_the_wheel_brings_man_page_and_completions_where_the_system_looks_for_them() -> None:
    share = f"tie_forwarder-{__version__}.data/data/share"
    places = {
        "deploy/man/tie-forwarder.1": "man/man1/tie-forwarder.1",
        "deploy/completions/tie-forwarder.bash": "bash-completion/completions/tie-forwarder",
        "deploy/completions/_tie-forwarder": "zsh/site-functions/_tie-forwarder",
        "deploy/completions/tie-forwarder.fish": "fish/vendor_completions.d/tie-forwarder.fish",
    }
    with zipfile.ZipFile(wheel()) as archive:
        brought = {path: archive.read(f"{share}/{place}").decode() for path, place in places.items()}
    assert brought == shipped()


def test_the_metadata_is_complete() -> None:
    with zipfile.ZipFile(wheel()) as archive:
        text = archive.read(f"tie_forwarder-{__version__}.dist-info/METADATA").decode()
    metadata = email.message_from_string(text)
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    classifiers = metadata.get_all("Classifier") or []
    versions = [line.rpartition(" ")[2] for line in classifiers if re.search(r":: 3\.\d+$", line)]
    assert versions == ["3.11", "3.12", "3.13"]
    assert "Typing :: Typed" in classifiers


def test_the_sdist_has_every_file_of_the_repository_and_no_other() -> None:
    with tarfile.open(sdist()) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names - {"PKG-INFO"} == tracked()


def test_another_build_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    source, output = tmp_path / "elsewhere", tmp_path / "output"
    with tarfile.open(sdist()) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        epoch = str(int(members[0].mtime))
        for member in members:
            file = archive.extractfile(member)
            assert file is not None
            path = source / member.name.partition("/")[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.read())
            path.chmod(member.mode & ~0o044)  # as with another umask
    (source / "PKG-INFO").unlink()
    command = ["env", f"SOURCE_DATE_EPOCH={epoch}", "TZ=Asia/Tokyo", str(ROOT / "tests/distribution/build.sh")]
    subprocess.run([*command, str(TOOLS_PYTHON), str(source), str(output)], check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == {
        path.name: path.read_bytes() for path in (wheel(), sdist())
    }


def test_the_sbom_names_every_locked_package_with_its_hashes() -> None:
    components = json.loads(SBOM.read_text(encoding="utf-8"))["components"]
    named = {(component["name"], component["version"]) for component in components}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert named == set(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))
    assert all(component["externalReferences"][0]["hashes"] for component in components)


@pytest.mark.parametrize(
    "command", [["mandoc", "-Tlint"], ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]], ids=lambda c: c[0]
)
def test_the_man_page_is_well_formed(command: list[str]) -> None:
    assert shutil.which(command[0]), f"{command[0]} is missing; run `python -m tests.distribution.provision`"
    done = subprocess.run(
        ["env", "LC_ALL=C.UTF-8", *command, ROOT / "deploy/man/tie-forwarder.1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    if command[0] == "mandoc":
        assert done.stdout == ""
