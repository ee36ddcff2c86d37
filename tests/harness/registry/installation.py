"""Apicurio Registry as it lies in the user's cache folder.

Owns: that folder's content and when it counts as complete. Must not: name where it comes from; Maven knows.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.harness.kafka.installation import cache_directory, run

VERSION = "2.6.13.Final"
"""The last line that runs on Java 17, which Kafka needs anyway."""

_ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"


class RegistryInstallation:
    """The folder `apicurio-2.6.13.Final` in the cache. The constructor does nothing."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or cache_directory() / f"apicurio-{VERSION}"
        self.jar = self.directory / f"apicurio-registry-app-{VERSION}-runner.jar"
        self._stamp = self.directory / ".complete"

    @property
    def complete(self) -> bool:
        """Whether everything is there."""
        return self._stamp.is_file()

    def fetch(self) -> None:
        """Let Maven unpack it here, afresh: 142 MB. `ProvisioningError` when Maven fails."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        # In an empty directory: Maven would otherwise look for a project here.
        with tempfile.TemporaryDirectory() as nowhere:
            run(
                ["mvn", "-B", "-q", "dependency:unpack", f"-Dartifact={_ARTIFACT}",
                 f"-DoutputDirectory={self.directory}", f"-Dmdep.unpack.markersDirectory={nowhere}",
                 f"-DmarkersDirectory={nowhere}"],
                remedy="check the network and Maven's settings, then run `python -m tests.harness.provision` again",
                directory=nowhere,
            )  # fmt: skip
        self._stamp.touch()
