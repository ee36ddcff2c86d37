"""A schema registry on 127.0.0.1 that keeps its schemas on the disk, so that it may be killed.

Owns: its process, and what the administrator of a registry does. Must not: register what the forwarder should.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.harness.kafka.java import find_java
from tests.harness.ports import free_port
from tests.harness.registry.installation import RegistryInstallation
from tests.harness.server_process import ServerProcess

_SECONDS = 10.0


class Apicurio(ServerProcess):
    """Ready when its API answers; 3 s after its start."""

    def __init__(self, *, directory: Path, installation: RegistryInstallation | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"
        super().__init__(
            name="apicurio",
            command=[
                find_java() or "java",
                "-Xmx400m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-jar",
                str((installation or RegistryInstallation()).jar),
            ],
            directory=directory,
            ready=self._answers,
            environment={
                "QUARKUS_HTTP_HOST": "127.0.0.1",
                "QUARKUS_HTTP_PORT": str(self.port),
                "REGISTRY_DATASOURCE_URL": f"jdbc:h2:file:{directory / 'schemas'};WRITE_DELAY=0",
            },
        )

    def subjects(self) -> dict[str, list[int]]:
        """The versions of every subject."""
        return {subject: self._ask("GET", f"subjects/{subject}/versions") for subject in self._ask("GET", "subjects")}

    def latest(self, subject: str) -> int:
        """The id of the newest schema of the subject."""
        schema_id: int = self._ask("GET", f"subjects/{subject}/versions/latest")["id"]
        return schema_id

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of this id."""
        schema: dict[str, Any] = json.loads(self._ask("GET", f"schemas/ids/{schema_id}")["schema"])
        return schema

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of a schema that somebody else registers."""
        body = {"schema": json.dumps(schema), "schemaType": "JSON"}
        schema_id: int = self._ask("POST", f"subjects/{subject}/versions", body)["id"]
        return schema_id

    def set_compatibility(self, subject: str, level: str) -> None:
        """What a new version must be to the one before: BACKWARD, FORWARD, NONE."""
        self._ask("PUT", f"config/{subject}", {"compatibility": level})

    def _answers(self) -> bool:
        try:
            self._ask("GET", "subjects")
        except OSError:
            return False
        return True

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise OSError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from error
