"""A real Prometheus, and its promtool.

Owns: its configuration, its data and its process. Must not: know what it scrapes; no notification leaves it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.harness.ports import free_port
from tests.harness.server_process import ServerProcess
from tests.harness.waiting import wait_until

_HTTP_SECONDS = 10.0


class Answer(NamedTuple):
    """What promtool says."""

    code: int
    text: str


def prometheus_is_there() -> bool:
    """Whether both programs are installed."""
    return shutil.which("prometheus") is not None and shutil.which("promtool") is not None


def promtool(*arguments: str, text: str | None = None) -> Answer:
    """One call; `text` is its standard input. Both its outputs together."""
    done = subprocess.run(
        ["promtool", *arguments],
        input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Answer(done.returncode, done.stdout)


class Prometheus(ServerProcess):
    """One server on 127.0.0.1 that scrapes `targets` (host:port) as the job tie-forwarder, under `rules`."""

    def __init__(
        self,
        *,
        directory: Path,
        targets: Sequence[str],
        rules: Sequence[Path] = (),
        interval: str = "500ms",
    ) -> None:
        self.port = free_port()
        self._config = directory / "prometheus.yml"
        self._content = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(path.absolute()) for path in rules],
            "scrape_configs": [{"job_name": "tie-forwarder", "static_configs": [{"targets": list(targets)}]}],
        }
        super().__init__(
            name="prometheus",
            command=[
                "prometheus",
                f"--config.file={self._config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ],
            directory=directory,
            ready=self._is_ready,
            start_timeout=30.0,
        )

    def start(self, *, wait_ready: bool = True) -> None:
        """Write the configuration and start; blocks until queries are answered."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._config.write_text(yaml.safe_dump(self._content), encoding="utf-8")
        super().start(wait_ready=wait_ready)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression now; `ValueError` with the reason when Prometheus refuses it."""
        found: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return found

    def alerts(self, *, state: str = "firing") -> dict[str, list[Mapping[str, Any]]]:
        """The alerts in that state, by name."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for alert in self._ask("alerts")["alerts"]:
            if alert["state"] == state:
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def wait_for(self, what: str, predicate: Callable[[], bool], *, timeout: float) -> None:
        """Block until the predicate holds; `TimeoutError` with the alerts of the moment."""
        wait_until(
            predicate,
            timeout=timeout,
            what=lambda: f"{what}; firing: {self.alerts()}; pending: {list(self.alerts(state='pending'))}",
        )

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=_HTTP_SECONDS) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _ask(self, path: str, **parameters: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=_HTTP_SECONDS) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
                return data
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{parameters}: {json.load(error)['error']}") from error
