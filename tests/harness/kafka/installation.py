"""Apache Kafka as it lies in the user's cache folder: jars, a formatted data directory, an archive of loaded classes.

Owns: that folder's content and when it counts as complete. Must not: name where the jars come from; Maven knows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

KAFKA_VERSION = "4.3.1"
_POM = Path(__file__).with_name("pom.xml")
_CHECKPOINT = "bootstrap.checkpoint"


class ProvisioningError(Exception):
    """Something cannot be had; `str()` is one sentence that says what, and what to do."""


def cache_directory() -> Path:
    """The folder that outlives the checkout and the tests: `$XDG_CACHE_HOME/tie-forwarder` or below `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "tie-forwarder"


class Installation:
    """The folder `kafka-4.3.1` in the cache. The constructor does nothing."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or cache_directory() / f"kafka-{KAFKA_VERSION}"
        self.class_archive = self.directory / "classes.jsa"
        self._libs = self.directory / "libs"
        self._template = self.directory / "template"
        self._stamp = self.directory / ".complete"

    @property
    def class_path(self) -> str:
        """What `java -cp` takes."""
        return str(self._libs / "*")

    @property
    def java_options(self) -> list[str]:
        """What lets Java start faster; an archive that another Java made is ignored by itself."""
        return [f"-XX:SharedArchiveFile={self.class_archive}"] if self.class_archive.exists() else []

    @property
    def complete(self) -> bool:
        """Whether everything was made, from the pom.xml of this checkout."""
        return self._stamp.is_file() and self._stamp.read_text(encoding="utf-8") == fingerprint(_POM)

    def mark_complete(self) -> None:
        """Write the stamp; the last step."""
        self._stamp.write_text(fingerprint(_POM), encoding="utf-8")

    def fetch(self) -> None:
        """Let Maven copy the jars here, afresh. Blocks for some 20 s; `ProvisioningError` when Maven fails."""
        shutil.rmtree(self.directory, ignore_errors=True)
        copy_jars(_POM, self._libs)

    def format_template(self, *, java: str) -> None:
        """Format a data directory once, so that a node need not start Java for it. Blocks for a second."""
        with tempfile.TemporaryDirectory() as scratch:
            properties = Path(scratch) / "server.properties"
            properties.write_text(
                f"process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:1\n"
                f"listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1\ncontroller.listener.names=CONTROLLER\n"
                f"log.dirs={scratch}/data\n",
                encoding="utf-8",
            )
            run(
                [java, "-XX:TieredStopAtLevel=1", "-cp", self.class_path, "kafka.tools.StorageTool", "format",
                 "-t", random_id(), "-c", str(properties)],
                remedy=f"remove {self.directory} and run `python -m tests.harness.provision` again",
            )  # fmt: skip
            self._template.mkdir(exist_ok=True)
            shutil.copy(Path(scratch) / "data" / _CHECKPOINT, self._template)

    def make_data_directory(self, directory: Path, *, node_id: int, cluster_id: str) -> None:
        """Make what `StorageTool format` would make for this node."""
        directory.mkdir(parents=True)
        shutil.copy(self._template / _CHECKPOINT, directory)
        (directory / "meta.properties").write_text(
            f"version=1\nnode.id={node_id}\ncluster.id={cluster_id}\ndirectory.id={random_id()}\n", encoding="utf-8"
        )


def copy_jars(pom: Path, directory: Path) -> None:
    """Let Maven copy the jars that the pom names, and what they need, to a new directory. `ProvisioningError`."""
    directory.mkdir(parents=True)
    # -f names a copy: Maven would otherwise look for a parent project around the pom.
    with tempfile.TemporaryDirectory() as project:
        shutil.copy(pom, f"{project}/pom.xml")
        run(
            ["mvn", "-B", "-q", "-f", f"{project}/pom.xml", "dependency:copy-dependencies",
             "-DincludeScope=runtime", f"-DoutputDirectory={directory}"],
            remedy="check the network and Maven's settings, then run `python -m tests.harness.provision` again",
        )  # fmt: skip


def random_id() -> str:
    """A UUID in Kafka's form, 22 characters of base64; without a leading dash, which its tools take for an option."""
    return urlsafe_b64encode(b"\x01" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def fingerprint(pom: Path) -> str:
    """Tells a pom from another one."""
    return hashlib.sha256(pom.read_bytes()).hexdigest()


def run(command: list[str], *, remedy: str, directory: str | None = None) -> None:
    """Run a command to its end; `ProvisioningError` with what it said and the remedy where it fails."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=directory
        )
    except OSError as error:
        raise ProvisioningError(f"{command[0]} cannot be started: {error.strerror}; {remedy}") from error
    if done.returncode:
        output = " / ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        raise ProvisioningError(f"{Path(command[0]).name} ended with {done.returncode} ({output}); {remedy}")
