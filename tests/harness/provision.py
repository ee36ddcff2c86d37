"""Installs the servers of the tests where they are missing: `python -m tests.harness.provision`.

Owns: what the tests need besides Python: Mosquitto, a Java runtime, Apache Kafka with its tools, Apicurio Registry,
Chromium, Prometheus, and what tries a systemd unit without a running systemd.
Must not: name where packages come from (apt and Maven are set up for that), leave a service running, or do anything
when nothing is missing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.harness.chromium import chromium_path
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.installation import Installation, ProvisioningError, cache_directory
from tests.harness.kafka.java import OLDEST_VERSION, find_java
from tests.harness.kafka.tools import ToolsInstallation
from tests.harness.mosquitto import mosquitto_path
from tests.harness.prometheus import prometheus_is_there
from tests.harness.registry.installation import RegistryInstallation


class Program(NamedTuple):
    """Something that a package of Debian brings."""

    name: str
    package: str
    is_there: Callable[[], bool]
    service: bool = False
    """Whether the package would start it."""


def _command(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


_JAVA = "openjdk-17-jre-headless"
PROGRAMS = (
    Program("mosquitto", "mosquitto", lambda: mosquitto_path() is not None, service=True),
    Program(f"a Java runtime of version {OLDEST_VERSION} or newer", _JAVA, lambda: find_java() is not None),
    Program("chromium", "chromium", lambda: chromium_path() is not None),
    Program("Prometheus with promtool", "prometheus", prometheus_is_there, service=True),
    Program("systemd-analyze", "systemd", _command("systemd-analyze")),
    Program("bwrap", "bubblewrap", _command("bwrap")),
)


def missing() -> list[str]:
    """What is not there, in words; empty when the tests can run. Blocks for some 50 ms."""
    absent = [program.name for program in PROGRAMS if not program.is_there()]
    if not Installation().complete:
        absent.append("the jars of Apache Kafka")
    if not ToolsInstallation().complete:
        absent.append("the jars of Kafka's tools and of Kafka Connect")
    if not RegistryInstallation().complete:
        absent.append("Apicurio Registry")
    return absent


def provision() -> None:
    """Make `missing()` empty. Two at a time wait for each other. `ProvisioningError` says what a person must do."""
    if not missing():
        return
    with _lock():
        _install_packages()
        installation = Installation()
        if not installation.complete:
            _say("fetching the jars of Apache Kafka")
            _complete(installation)
        if not ToolsInstallation().complete:
            _say("fetching the jars of Kafka's tools and of Kafka Connect")
            ToolsInstallation().fetch()
        if not RegistryInstallation().complete:
            _say("fetching Apicurio Registry, 142 MB")
            RegistryInstallation().fetch()


def install(packages: Sequence[str]) -> None:
    """Install packages of Debian whose services, where they have any, may not run here."""
    _say(f"installing {', '.join(packages)}")
    _apt_get("update", "-qq")
    _apt_get("install", "-y", "-qq", "--no-install-recommends", *packages)


def _install_packages() -> None:
    needed = [program for program in PROGRAMS if not program.is_there()]
    packages = [program.package for program in needed]
    fetched = (Installation().complete, ToolsInstallation().complete, RegistryInstallation().complete)
    if not all(fetched) and shutil.which("mvn") is None:
        packages.append("maven")
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise ProvisioningError(
            f"{', '.join(packages)}: not installed, and there is no apt-get here; install them with this "
            "system's package tool"
        )
    _apt_get("update", "-qq")
    if _JAVA in packages and not _is_known_to_apt(_JAVA):
        packages[packages.index(_JAVA)] = "default-jre-headless"
    _say(f"installing {', '.join(packages)}")
    with ExitStack() as stack:
        for program in needed:
            if program.service:
                stack.enter_context(_no_service_started(f"{program.package}.service"))
        _apt_get("install", "-y", "-qq", "--no-install-recommends", *packages)
    if mosquitto_path() is None or find_java(afresh=True) is None:
        raise ProvisioningError(
            f"apt-get installed {', '.join(packages)}, yet {' and '.join(missing())} cannot be found; install a Java "
            f"runtime of version {OLDEST_VERSION} or newer by hand and set JAVA_HOME"
        )


def _complete(installation: Installation) -> None:
    java = find_java()
    assert java is not None
    installation.fetch()
    installation.format_template(java=java)
    # One start under observation: from then on Java maps the classes that Kafka loads, and starts it in half the time.
    with tempfile.TemporaryDirectory() as directory:
        options = ("-XX:TieredStopAtLevel=1", f"-XX:ArchiveClassesAtExit={installation.class_archive}")
        cluster = KafkaCluster(directory=Path(directory), java_options=options, installation=installation)
        with cluster:
            cluster.administration.create_topic("warm-up")
            cluster.terminate()
    installation.mark_complete()


@contextmanager
def _lock() -> Iterator[None]:
    cache_directory().mkdir(parents=True, exist_ok=True)
    with (cache_directory() / "provision.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _no_service_started(unit: str) -> Iterator[None]:
    """Keep a package's service from running, now and after the next boot. The mask lies in /run and is taken back."""
    if not Path("/run/systemd/system").is_dir():
        yield
        return
    _run(["systemctl", "mask", "--quiet", "--runtime", unit])
    try:
        yield
    finally:
        _run(["systemctl", "unmask", "--quiet", "--runtime", unit])
    _run(["systemctl", "disable", "--quiet", unit])


def _is_known_to_apt(package: str) -> bool:
    answer = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    return "Candidate:" in answer.stdout and "Candidate: (none)" not in answer.stdout


def _apt_get(*arguments: str) -> None:
    # RUNLEVEL=1: without systemd the package's start script would run otherwise.
    _run(["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "LC_ALL=C", "apt-get", *arguments])


def _run(command: Sequence[str]) -> None:
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise ProvisioningError(f"`{' '.join(command)}` needs root and there is no sudo here; run it as root")
        command = ["sudo", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        output = " / ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        raise ProvisioningError(
            f"`{' '.join(command)}` ended with {done.returncode} ({output}); mend the cause and run "
            "`python -m tests.harness.provision` again"
        )


def _say(text: str) -> None:
    print(f"provision: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """The exit code: 0, or 1 after one sentence."""
    try:
        provision()
    except ProvisioningError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
