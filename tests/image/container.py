"""A container made from the image by runc, as hard as Kubernetes' restricted profile makes it.

Owns: the bundle and the container. Read-only root, the image's own user, no capability, no new privileges, nothing to
write but the volume, no shell; the network is the host's, so that the servers of the tests are on its loopback.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness.fabric import Fabric
from tests.harness.forwarder import Forwarder
from tests.harness.topics import Topics
from tests.image.image import Image
from tie_forwarder.demo.servers import write_dxlclient_config

ETC, STATE, SECRETS = "/etc/tie-forwarder", "/var/lib/tie-forwarder", "/run/secrets"
_SHELLS = ("sh", "bash", "dash")
_MASKED = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/timer_list"]


class Container:
    """One container: `command` starts it in the foreground, everything else asks it while it runs."""

    def __init__(
        self,
        *,
        image: Image,
        directory: Path,
        arguments: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.volumes = {ETC: directory / "etc", STATE: directory / "state", SECRETS: directory / "secrets"}
        self._image = image
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._id = f"tie-forwarder-{uuid.uuid4().hex[:12]}"
        self._runc = ["runc", "--root", str(directory / "runc")]
        self.command = [*self._runc, "run", "--bundle", str(directory), self._id]

    def prepare(self) -> None:
        """Write the bundle; what lies in the volumes becomes the image's user's, and read-only but for the state."""
        config = self._image.config
        user, group = (int(number) for number in config["User"].split(":"))
        for volume in self.volumes.values():
            volume.mkdir(parents=True, exist_ok=True)
            for path in (volume, *volume.rglob("*")):
                os.chown(path, user, group)
        bundle = self._bundle(config, user, group)
        (self.directory / "config.json").write_text(json.dumps(bundle, indent=1), encoding="utf-8")

    def run(self, *, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        self.prepare()
        try:
            return subprocess.run(self.command, capture_output=True, text=True, timeout=timeout)
        finally:
            self.delete()

    def health(self) -> int:
        """The exit code of the image's health check, asked inside as Docker asks."""
        check = self._image.config["Healthcheck"]["Test"]
        assert check[0] == "CMD", "the health check needs a shell"
        return subprocess.run([*self._runc, "exec", self._id, *check[1:]], capture_output=True, timeout=30).returncode

    def delete(self) -> None:
        """Kill what runs in it and forget it; without effect when it is gone."""
        subprocess.run([*self._runc, "delete", "--force", self._id], capture_output=True, timeout=30)

    def _bundle(self, config: Mapping[str, Any], user: int, group: int) -> dict[str, Any]:
        arguments = config["Cmd"] if self._arguments is None else self._arguments
        none: list[str] = []
        return {
            "ociVersion": "1.0.2",
            "process": {
                "args": [*config["Entrypoint"], *arguments],
                "env": [*config["Env"], *(f"{name}={value}" for name, value in self._environment.items())],
                "cwd": config["WorkingDir"] or "/",
                "user": {"uid": user, "gid": group},
                "noNewPrivileges": True,
                "capabilities": dict.fromkeys(("bounding", "effective", "permitted", "inheritable", "ambient"), none),
            },
            "root": {"path": str(self._image.tree), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "ro"]},
                *(self._bind(str(source), place, place != STATE) for place, source in self.volumes.items()),
                *(self._bind("/dev/null", f"/usr/bin/{shell}", True) for shell in _SHELLS if self._has(shell)),
            ],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
                "maskedPaths": _MASKED,
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        }

    def _has(self, shell: str) -> bool:
        return (self._image.tree / "usr/bin" / shell).exists()

    @staticmethod
    def _bind(source: str, place: str, read_only: bool) -> dict[str, Any]:
        options = ["bind", "nosuid", *(["ro"] if read_only else [])]
        return {"destination": place, "type": "bind", "source": source, "options": options}


class ContainedForwarder(Forwarder):
    """A forwarder in a container; its files lie where docs/deploy.md says."""

    def __init__(
        self,
        *,
        image: Image,
        directory: Path,
        fabric: Fabric,
        bootstrap_servers: Sequence[str],
        topics: Topics,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.container = Container(image=image, directory=directory / "container")
        etc = self.container.volumes[ETC]
        super().__init__(
            directory=directory,
            dxl_config=etc / "dxlclient.config",
            bootstrap_servers=bootstrap_servers,
            topics=topics,
            options=options,
        )
        self.config["dxl"]["config_file"] = "dxlclient.config"
        # The image says where the spool is.
        del self.config["spool"]
        self.config_file = etc / "config.yaml"
        self.command = self.container.command
        provision(etc, fabric)

    def start(self, *, wait_ready: bool = True) -> None:
        """Write the configuration and the bundle, and start the container."""
        self.container.prepare()
        super().start(wait_ready=wait_ready)

    def stop(self) -> None:
        """Kill the container."""
        self.container.delete()
        if self.alive:
            self.wait(timeout=30.0)


def provision(etc: Path, fabric: Fabric, name: str = "forwarder") -> None:
    """Put `dxlclient.config`, certificate, key and the authority of the brokers there, as provisionconfig does."""
    etc.mkdir(parents=True, exist_ok=True)
    identity = fabric.identity(name)
    for file in (identity.certificate, identity.key, identity.keystore, fabric.authority.ca_file):
        shutil.copy(file, etc)
    here = type(identity)(etc / identity.certificate.name, etc / identity.key.name, etc / identity.keystore.name)
    ca_file = etc / fabric.authority.ca_file.name
    write_dxlclient_config(
        etc / "dxlclient.config", identity=here, ca_file=ca_file, brokers=[("127.0.0.1", fabric.port)]
    )
