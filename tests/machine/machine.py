"""A clean Debian of this machine's release, booted: systemd as its first process, on the same network.

Owns: its files and its life. Made by debootstrap once and kept in the cache of the tests; each test has a copy. Needs
root. Must not: touch the services of the machine that the tests run on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import psutil

from tests.harness.kafka.installation import ProvisioningError, cache_directory
from tests.harness.server_process import ServerProcess
from tests.harness.waiting import wait_until

_PACKAGES = "systemd,dbus,python3"
COMMANDS = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "lintian": "lintian"}
"""What is needed here, and the packages that have it."""
_COMMAND_SECONDS = 120
_RUNNING = ("running", "degraded")


def release() -> str:
    """The code name of the Debian that the tests run on, for which the package is built."""
    return _os_release().get("VERSION_CODENAME", "")


def clean_root() -> Path:
    """The tree that every machine is a copy of; made at the first call, which takes a minute and a half."""
    if _os_release().get("ID") != "debian" or os.geteuid() != 0:
        raise ProvisioningError("a Debian in a folder needs root on a Debian; run this target there")
    absent = [command for command in COMMANDS if shutil.which(command) is None]
    if absent:
        raise ProvisioningError(f"{', '.join(absent)}: missing; run `python -m tests.machine.provision`")
    root = cache_directory() / f"debian-{release()}"
    if not root.exists():
        fresh = root.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", release(), str(fresh)],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        fresh.rename(root)
    return root


class Machine(ServerProcess):
    """One machine. `root` is its tree as this side sees it."""

    def __init__(self, *, directory: Path) -> None:
        self.root = directory / "root"
        directory.mkdir(parents=True)
        subprocess.run(["cp", "-a", "--reflink=auto", str(clean_root()), str(self.root)], check=True)
        super().__init__(
            name="machine",
            command=[
                "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", f"--directory={self.root}", "--boot",
                "--console=pipe", f"--machine=test-{os.getpid()}",
            ],
            directory=directory,
            ready=self._is_running,
        )  # fmt: skip

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root; with its output and, unless told otherwise, only when it ends with 0."""
        done = subprocess.run(
            ["nsenter", f"--target={self._first_process().pid}", "--all", "env", "--chdir=/", "-i",
             "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
             "DEBIAN_FRONTEND=noninteractive", *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def shell(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell's command line inside."""
        return self.run("sh", "-c", script, check=check)

    def property(self, name: str, unit: str = "tie-forwarder.service") -> str:
        """What the service manager knows of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def journal(self, unit: str = "tie-forwarder.service") -> str:
        """Everything that a unit has logged, and what the service manager said of it."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    def wait_for(self, name: str, value: str, *, unit: str = "tie-forwarder.service", timeout: float = 60.0) -> None:
        """Block until a property of a unit has this value."""
        wait_until(
            lambda: self.property(name, unit) == value,
            timeout=timeout,
            what=lambda: (
                f"{name} of {unit} is {value}, it is {self.property(name, unit)}; {self.journal(unit)[-3000:]}"
            ),
        )

    def stop(self) -> None:
        """End all of it at once."""
        if self.alive:
            with contextlib.suppress(LookupError, psutil.NoSuchProcess):
                self._first_process().kill()
                self.wait(timeout=20.0)
        super().stop()

    def _first_process(self) -> psutil.Process:
        for child in psutil.Process(self.pid).children():
            return child
        raise LookupError("the machine has no first process")

    def _is_running(self) -> bool:
        try:
            done = self.run("systemctl", "is-system-running", check=False)
        except (LookupError, psutil.NoSuchProcess):
            return False
        return done.stdout.strip() in _RUNNING


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line]
    return {name: value.strip('"') for name, value in pairs}
