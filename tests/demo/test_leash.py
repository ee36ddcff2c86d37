"""A program on a leash ends when it is told to, and when its owner dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.harness.waiting import wait_until
from tie_forwarder.demo.leash import LeashedProcess

PYTHON = sys.executable
STUBBORN = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
NAMES_ITSELF = "import os,time; print(os.getpid(), flush=True); time.sleep(60)"


def leashed(code: str, output: Path) -> LeashedProcess:
    process = LeashedProcess(command=[PYTHON, "-c", code], output=output)
    process.start()
    return process


def pid_in(output: Path) -> int:
    return int(wait_until(output.read_text, timeout=10, what="the program has printed its id"))


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_exit_code_and_the_output_are_those_of_the_program(tmp_path: Path) -> None:
    process = leashed("print('last words'); raise SystemExit(7)", tmp_path / "log")
    assert process.wait(10) == 7
    assert not process.alive
    assert process.last_output() == "last words"
    process.stop()


def test_a_program_that_is_missing_is_named_in_the_output(tmp_path: Path) -> None:
    process = LeashedProcess(command=["/no/such/program"], output=tmp_path / "log")
    process.start()
    assert process.wait(10) == 127
    assert process.last_output() == "/no/such/program cannot be started: No such file or directory"
    process.stop()


def test_terminate_reaches_the_program(tmp_path: Path) -> None:
    process = leashed(NAMES_ITSELF, tmp_path / "log")
    pid = pid_in(tmp_path / "log")
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    assert is_gone(pid)
    process.stop()


def test_stop_kills_a_program_that_ignores_sigterm(tmp_path: Path) -> None:
    process = leashed(STUBBORN, tmp_path / "log")
    wait_until((tmp_path / "log").read_text, timeout=10, what="the program is up")
    process.stop()
    assert not process.alive


def test_the_program_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import sys, time; from pathlib import Path; from tie_forwarder.demo.leash import LeashedProcess\n"
        f"LeashedProcess(command=[sys.executable, '-c', {NAMES_ITSELF!r}], output=Path({str(log)!r})).start()\n"
        "time.sleep(60)"
    )
    owner = subprocess.Popen([PYTHON, "-c", code])
    wait_until(lambda: log.exists() and log.read_text(), timeout=10, what="the program has printed its id")
    pid = int(log.read_text())
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    wait_until(lambda: is_gone(pid), timeout=10, what="the program has ended")
