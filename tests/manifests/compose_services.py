"""The services of deploy/compose/compose.yaml, run without containers: their own commands, variables and files.

Owns: how a container's paths and addresses become this machine's. Must not: say anything that the file says.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.harness.kafka.installation import Installation
from tests.harness.kafka.node import KafkaNode
from tests.harness.kafka.tools import ToolsInstallation
from tests.harness.mosquitto import mosquitto_path
from tests.harness.ports import free_port
from tests.harness.server_process import ServerProcess

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "deploy/compose"
# What the images run where the file says nothing.
_ENTRYPOINTS = {"tie-forwarder": ["tie-forwarder"], "prom/prometheus": ["prometheus"]}
_COMMANDS = {"tie-forwarder": ["run"]}
_NOT_OF_KAFKA = ("KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS")


class ComposeServices:
    """All services, in a directory of this machine; each address that one of them listens on has a port here."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        content = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
        self.services: Mapping[str, Mapping[str, Any]] = content["services"]
        self._configs: Mapping[str, Mapping[str, str]] = content["configs"]
        self._scripts = directory / "bin"
        ToolsInstallation().write_scripts(self._scripts)
        addresses = ("fabric:8883", "kafka:9092", "kafka:9093", "prometheus:9090")
        self.ports = {address: free_port() for address in (*addresses, "forwarder-one:9469", "forwarder-two:9469")}

    def run(self, service: str) -> subprocess.CompletedProcess[str]:
        """Run a service that ends by itself."""
        self._write_files(service, {})
        return subprocess.run(
            self._command(service),
            env={**os.environ, **self._environment(service)},
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def execute(self, service: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """What `docker compose exec SERVICE WORDS` does: run a program beside a service that runs."""
        return subprocess.run(
            [*self._program(words[0]), *(self._local(service, word) for word in words[1:])],
            env={**os.environ, **self._environment(service)},
            cwd=self._folder(service),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def server(
        self, service: str, *, ready: Callable[[], bool], more: Mapping[str, str] | None = None
    ) -> ServerProcess:
        """A service that stays; not started yet. `more` are texts of its files to write in another way here."""
        self._write_files(service, more or {})
        return ServerProcess(
            name=service,
            command=self._command(service),
            # A forwarder finds its config.yaml in the working directory, as in /etc/tie-forwarder.
            directory=self._folder(service),
            ready=ready,
            environment=self._environment(service),
        )

    def kafka(self) -> KafkaNode:
        """Kafka; not started yet. The image makes server.properties of its variables, and so is it made here."""
        variables = self._environment("kafka")
        properties = {
            _property_name(name): value
            for name, value in variables.items()
            if name.startswith("KAFKA_") and name not in _NOT_OF_KAFKA
        }
        directory = self.directory / "kafka"
        properties["log.dirs"] = str(directory / "data")
        return KafkaNode(
            node_id=int(properties["node.id"]),
            cluster_id=variables["CLUSTER_ID"],
            directory=directory,
            client_port=self.ports["kafka:9092"],
            properties="".join(f"{name}={value}\n" for name, value in properties.items()),
            installation=Installation(),
            heap_megabytes=512,
        )

    def place(self, service: str, path: str) -> Path:
        """Where a container's path is on this machine."""
        return Path(self._local(service, path))

    def _folder(self, service: str) -> Path:
        return self.directory / "configs" / service

    def _command(self, service: str) -> list[str]:
        said = self.services[service]
        image = re.sub(r".*:-|:[^:]*$", "", said["image"].rstrip("}"))
        words = [*said.get("entrypoint", _ENTRYPOINTS.get(image, [])), *said.get("command", _COMMANDS.get(image, []))]
        if service == "prometheus":
            # In its container it may have every address.
            words.append("--web.listen-address=prometheus:9090")
        program, *arguments = words
        return [*self._program(program), *(self._local(service, word) for word in arguments)]

    def _program(self, name: str) -> list[str]:
        known = {
            "tie-forwarder": [sys.executable, "-m", "tie_forwarder"],
            "python": [sys.executable],
            "mosquitto": [mosquitto_path() or "mosquitto"],
        }
        script = self._scripts / Path(name).name
        return [str(script)] if script.exists() else known.get(name, [name])

    def _environment(self, service: str) -> dict[str, str]:
        said = self.services[service].get("environment", {})
        spool = {}
        if service.startswith("forwarder-"):
            # As the image has it.
            spool["TIE_FORWARDER_SPOOL__DIRECTORY"] = "/var/lib/tie-forwarder/spool"
            spool["TIE_FORWARDER_GROUP__MEMBER"] = self.services[service]["hostname"]
        return {name: self._local(service, str(value)) for name, value in {**spool, **said}.items()}

    def _write_files(self, service: str, more: Mapping[str, str]) -> None:
        for config in self.services[service].get("configs", ()):
            text = self._local(service, (FOLDER / self._configs[config["source"]]["file"]).read_text(encoding="utf-8"))
            for old, new in more.items():
                assert old in text, f"{old!r} does not stand in the files of {service}"
                text = text.replace(old, new)
            file = self.place(service, config["target"])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def _local(self, service: str, text: str) -> str:
        for inside, outside in sorted(self._mounts(service).items(), key=lambda pair: -len(pair[0])):
            text = re.sub(rf"(?<![\w.-]){re.escape(inside)}(?![\w-])", str(outside), text)
        for address, port in self.ports.items():
            host, _, number = address.partition(":")
            text = text.replace(address, f"127.0.0.1:{port}")
            if host == service:
                text = text.replace(f"//:{number}", f"//127.0.0.1:{port}").replace(
                    f"0.0.0.0:{number}", f"127.0.0.1:{port}"
                )
                text = text.replace(f"listener {number}", f"listener {port} 127.0.0.1")
        return text

    def _mounts(self, service: str) -> dict[str, Path]:
        said, mounts = self.services[service], {}
        for volume in said.get("volumes", ()):
            source, target = volume.split(":")[:2]
            mounts[target] = (
                (FOLDER / source).resolve() if source.startswith(".") else self.directory / "volumes" / source
            )
        for config in said.get("configs", ()):
            mounts[config["target"]] = self._folder(service) / Path(config["target"]).name
        for path in mounts.values():
            if "volumes" in path.parts:
                path.mkdir(parents=True, exist_ok=True)
        return mounts


def _property_name(variable: str) -> str:
    """The rule of the image: _ is a dot, __ an underscore, ___ a hyphen."""
    name = variable.removeprefix("KAFKA_").lower()
    return name.replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_")
