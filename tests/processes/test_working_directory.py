"""No command and no child imports from the working directory, and no child inherits a secret."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.harness.ports import free_port
from tests.harness.waiting import wait_until
from tie_forwarder.cli.verbs import VERBS
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.demo.servers import write_dxlclient_config
from tie_forwarder.interpreter import child_environment

SCRIPT = [str(Path(sys.executable).with_name("tie-forwarder"))]
MODULE = [sys.executable, "-m", "tie_forwarder"]
DAEMON = {"tie_forwarder.receiver", "tie_forwarder.publisher"}
SECRET = "s3cr3t-in-the-environment"

SITE = ("tie_forwarder", "sitecustomize", "usercustomize")


def leave_to_python(plants: Path) -> None:
    """Removes the plants that Python itself, or the script that pip makes, imports before any line of ours runs.

    Only `-P` prevents that, and nothing where PYTHONPATH names the working directory.
    """
    bare = plants.parent / "bare"
    bare.mkdir()
    (bare / "bare.py").write_text("import re, sys; print(*{name.partition('.')[0] for name in sys.modules})")
    command = [sys.executable, "-m", "bare"]
    names = subprocess.run(command, cwd=bare, capture_output=True, text=True, check=True).stdout.split()
    for name in {*SITE, *names}:
        if (plants / name).exists():
            shutil.rmtree(plants / name)


@pytest.fixture
def plants(tmp_path: Path) -> Path:
    """A directory in which every importable name is a module that notes that it was imported."""
    directory = tmp_path / "plants"
    directory.mkdir()
    notes = str(tmp_path / "imported")
    code = f"import os\nos.makedirs({notes!r} + '/' + __name__, exist_ok=True)\nraise SystemExit(99)\n"
    installed = {name for name in packages_distributions() if name.isidentifier()}
    for name in {*sys.stdlib_module_names, *installed, *SITE}:
        (directory / name).mkdir()
        (directory / name / "__init__.py").write_text(code)
    return directory


@pytest.fixture
def config(tmp_path: Path, authority: Authority) -> dict[str, Any]:
    """In order, but with nobody at its addresses."""
    dxl = write_dxlclient_config(
        tmp_path / "dxlclient.config",
        identity=authority.issue("client"),
        ca_file=authority.ca_file,
        brokers=[("127.0.0.1", free_port())],
    )
    return {
        "dxl": {"config_file": str(dxl)},
        "kafka": {
            "bootstrap_servers": [f"127.0.0.1:{free_port()}"],
            "schema_registry": {"url": f"http://127.0.0.1:{free_port()}"},
        },
        "spool": {"directory": str(tmp_path / "spool")},
        "http": {"listen": f"127.0.0.1:{free_port()}"},
        "shutdown": {"drain_seconds": 0},
    }


def written(tmp_path: Path, config: dict[str, Any]) -> str:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return str(file)


def imported(tmp_path: Path) -> list[str]:
    """The plants that ran."""
    return sorted(path.name for path in (tmp_path / "imported").glob("*"))


def arguments(verb: str, file: str, tmp_path: Path) -> list[str]:
    """What makes the verb go as far as it can on its own."""
    payload = tmp_path / "payload"
    payload.write_bytes(b"{}")
    of = {
        "check": ["--connect", "--config", file],
        "simulate": ["--config", file, "--count", "1"],
        "find": ["x", "--config", file],
        "dead-letters": ["--config", file],
        "replay": ["--config", file, "--dry-run"],
        "decode": [str(payload), "--config", file],
        "spool": ["status", "--config", file],
        "demo": ["--seconds", "1"],
        "completion": ["bash"],
    }
    return [verb, *of.get(verb, [] if verb in ("schema", "version") else ["--config", file])]


@contextmanager
def running(command: list[str], cwd: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    log = cwd.parent / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **environment}, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def status_of(config: dict[str, Any]) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(f"http://{config['http']['listen']}/status", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (urllib.error.URLError, ConnectionError):
        return None


@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["tie-forwarder", "python -m"])
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("run", "tail")])
def test_no_verb_imports_from_the_working_directory(
    tmp_path: Path, plants: Path, config: dict[str, Any], verb: str, program: list[str]
) -> None:
    if program is MODULE:
        leave_to_python(plants)
    command = [*program, *arguments(verb, written(tmp_path, config), tmp_path)]
    done = subprocess.run(
        command, cwd=plants, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert imported(tmp_path) == []
    assert done.returncode != 99
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("search_path", ["", ":", "relative", ".:/nonexistent"])
@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["tie-forwarder", "python -m"])
def test_the_daemon_and_its_children_import_nothing_from_the_working_directory(
    tmp_path: Path, plants: Path, config: dict[str, Any], program: list[str], search_path: str
) -> None:
    if search_path or program is MODULE:
        leave_to_python(plants)
    (plants / "relative").mkdir()
    command = [*program, "run", "--config", written(tmp_path, config)]
    with running(command, plants, PYTHONPATH=search_path) as daemon:
        wait_until(
            lambda: (found := status_of(config)) and found["receiver"]["pid"] and found["publisher"]["trouble"],
            timeout=60,
            what="both children at work",
        )
        daemon.send_signal(signal.SIGHUP)  # it inspects the certificates once more
        wait_until(lambda: b"reload.done" in (tmp_path / "log").read_bytes(), timeout=30, what="reloaded")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0
    assert imported(tmp_path) == []


def test_the_verb_tail_imports_nothing_from_the_working_directory(
    tmp_path: Path, plants: Path, config: dict[str, Any]
) -> None:
    with running([*SCRIPT, "tail", "--config", written(tmp_path, config)], plants) as tail:
        assert tail.wait(60) == 1
    assert imported(tmp_path) == []


def test_no_process_of_ours_inherits_an_option_from_the_environment(tmp_path: Path, config: dict[str, Any]) -> None:
    """Each process that the daemon and `check --connect` start is looked at in /proc as long as it lives."""
    environment = {"TIE_FORWARDER_KAFKA__SCHEMA_REGISTRY__PASSWORD": SECRET, "tie_forwarder_x__y": SECRET}
    config["kafka"]["schema_registry"]["username"] = "me"
    file = written(tmp_path, config)
    seen: dict[str, bool] = {}
    for verb in (["check", "--connect"], ["run"]):
        (tmp_path / "cwd").mkdir(exist_ok=True)
        with running([*SCRIPT, *verb, "--config", file], tmp_path / "cwd", **environment) as process:
            parent = psutil.Process(process.pid)

            def looked(parent: psutil.Process = parent) -> bool:
                for child in parent.children(recursive=True):
                    try:
                        command, inherited = " ".join(child.cmdline()), " ".join(child.environ().values())
                    except (psutil.NoSuchProcess, psutil.AccessDenied):
                        continue
                    if " -m " in command:
                        seen[command.split(" -m ")[1].split()[0]] = SECRET in inherited
                return process.poll() is not None or seen.keys() >= {
                    "tie_forwarder.receiver",
                    "tie_forwarder.publisher",
                }

            wait_until(looked, timeout=60, what="all children seen")
    others = {"tie_forwarder.check.child", "tie_forwarder.config.inspection", "tie_forwarder.kafka.registry"}
    assert seen.keys() >= DAEMON | others
    assert not any(seen.values()), seen


@pytest.mark.parametrize(
    ("given", "kept"), [("/a:/b", "/a:/b"), (":/a", "/a"), ("x:/a:", "/a"), (":", None), ("", None)]
)
def test_a_child_gets_only_the_absolute_module_paths(given: str, kept: str | None) -> None:
    made = child_environment({"PYTHONPATH": given, "PATH": "/bin", "Tie_Forwarder_A__B": "x"})
    assert made == ({"PATH": "/bin"} if kept is None else {"PATH": "/bin", "PYTHONPATH": kept})
