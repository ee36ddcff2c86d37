"""A tie-forwarder under test, as users run it: a configuration file and a process of its own.

Owns: its directory, its processes and what can be asked by HTTP. Must not: import anything of what runs in it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.ports import free_port
from tests.harness.server_process import ServerProcess, is_gone, is_stopped
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until

Part = Literal["main", "receiver", "publisher"]
PROGRAM = (sys.executable, "-m", "tie_forwarder")
_HTTP_SECONDS = 5.0


class Forwarder(ServerProcess):
    """One forwarder, from the same spool and on the same HTTP port at each start.

    Where no group is named, it is called as the topic of the detections. `options` is laid over the configuration,
    section by section: `{"spool": {"max_bytes": "1MiB"}}`.
    """

    def __init__(
        self,
        *,
        directory: Path,
        dxl_config: Path,
        bootstrap_servers: Sequence[str],
        topics: Topics,
        name: str = "forwarder",
        group: str | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.http_port = free_port()
        self.config_file = directory / "config.yaml"
        self.spool_directory = directory / "spool"
        self.config: dict[str, dict[str, Any]] = {
            "dxl": {"config_file": str(dxl_config.absolute())},
            "kafka": {"bootstrap_servers": list(bootstrap_servers), "topics": topics.configuration()},
            "group": {"name": group or topics.detection, "member": name},
            "spool": {"directory": str(self.spool_directory)},
            "http": {"listen": f"127.0.0.1:{self.http_port}"},
        }
        for section, values in (options or {}).items():
            self.config.setdefault(section, {}).update(values)
        super().__init__(
            name=name,
            command=[*program, "run", "--config", str(self.config_file)],
            directory=directory,
            ready=self._is_ready,
            environment=environment,
            start_timeout=60.0,
        )

    def start(self, *, wait_ready: bool = True) -> None:
        """Write `config` to its file and start; blocks until /readyz says yes: subscribed, spool writable."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")
        super().start(wait_ready=wait_ready)

    def part(self, part: Part) -> psutil.Process:
        """A process of the forwarder; `LookupError` when there is none."""
        main = psutil.Process(self.pid)
        if part == "main":
            return main
        for child in main.children(recursive=True):
            try:
                if f"tie_forwarder.{part}" in " ".join(child.cmdline()):
                    return child
            except psutil.NoSuchProcess:
                continue
        raise LookupError(f"{self.name} has no {part} process")

    def hang(self, part: Part = "main") -> None:
        """Stop one process with SIGSTOP and block until it is."""
        process = self.part(part)
        process.suspend()
        wait_until(lambda: is_stopped(process.pid), timeout=10.0, what=f"the {part} of {self.name} stopped")

    def resume(self, part: Part = "main") -> None:
        """Let a hung process go on."""
        self.part(part).resume()

    def kill_part(self, part: Part) -> None:
        """Send SIGKILL to one process and block until it is gone."""
        process = self.part(part)
        process.kill()
        wait_until(lambda: is_gone(process), timeout=10.0, what=f"the {part} of {self.name} gone")

    def kill_all(self) -> None:
        """Send SIGKILL to the main process and all its children and block until they are gone."""
        if not self.alive:
            return
        children = psutil.Process(self.pid).children(recursive=True)
        self.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        wait_until(lambda: all(map(is_gone, children)), timeout=10.0, what=f"the children of {self.name} gone")

    def stop(self) -> None:
        """As `kill_all()`."""
        self.kill_all()

    def discard(self) -> None:
        """End everything at once and remove the spool; log and configuration stay."""
        self.stop()
        shutil.rmtree(self.spool_directory, ignore_errors=True)

    def get(self, path: str) -> tuple[int, str]:
        """The HTTP status and the body of a page; `OSError` when nobody answers within five seconds."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=_HTTP_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def status(self) -> dict[str, Any]:
        """What /status says."""
        answer: dict[str, Any] = json.loads(self.get("/status")[1])
        return answer

    def ledger(self) -> dict[str, int]:
        """The ledger as /status has it."""
        ledger: dict[str, int] = self.status()["ledger"]
        return ledger

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name, as in `tie_forwarder_events_received_total{kind="detection"}`."""
        return parse_metrics(self.get("/metrics")[1])

    def wait_until(self, predicate: Callable[[Forwarder], bool], *, timeout: float, what: str = "condition") -> None:
        """Block until `predicate(self)` holds; `TimeoutError` with status and log.

        While the forwarder does not answer, the predicate counts as false.
        """

        def holds() -> bool:
            try:
                return predicate(self)
            except (OSError, LookupError, json.JSONDecodeError):
                return False

        wait_until(holds, timeout=timeout, what=lambda: f"{what}; {self._describe()}")

    def wait_until_drained(self, *, timeout: float = 60.0) -> None:
        """Block until nothing is left in the spool."""
        self.wait_until(lambda f: f.ledger()["in_spool"] == 0, timeout=timeout, what=f"spool of {self.name} empty")

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def _describe(self) -> str:
        try:
            status = self.get("/status")[1]
        except OSError as error:
            status = f"no answer: {error}"
        return f"status of {self.name}: {status}\n{self._quote()}"


def parse_metrics(text: str) -> dict[str, float]:
    """Prometheus' text form as a dictionary; labels in alphabetical order."""
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples
