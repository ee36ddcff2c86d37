"""deploy/compose does what it says: the services' own commands, run here, bring detections into Kafka."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.commands import commands
from tests.harness.ports import is_listening
from tests.harness.waiting import wait_until
from tests.manifests.compose_services import FOLDER, ComposeServices

FORWARDERS = ("forwarder-one", "forwarder-two")


@pytest.fixture
def services(provisioned: None, tmp_path: Path) -> ComposeServices:
    return ComposeServices(tmp_path)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as open_until_the_end:
        yield open_until_the_end


def test_detections_go_from_the_simulated_fabric_through_the_pair_into_kafka(
    services: ComposeServices, stack: ExitStack
) -> None:
    kafka = services.kafka()
    stack.callback(kafka.discard)
    kafka.start(wait_ready=False)
    _run(services, "certificates")
    as_root = {"listener ": "user root\nlistener "} if os.geteuid() == 0 else {}
    fabric_port = services.ports["fabric:8883"]
    stack.enter_context(services.server("fabric", ready=lambda: is_listening(fabric_port), more=as_root))
    kafka.wait_ready()
    for topic in ("topic-detections", "topic-dead-letters"):
        _run(services, topic)
    forwarders = {
        name: stack.enter_context(services.server(name, ready=partial(_is_ready, services, name)))
        for name in FORWARDERS
    }
    prometheus_port = services.ports["prometheus:9090"]
    stack.enter_context(services.server("prometheus", ready=lambda: is_listening(prometheus_port), more={"15s": "1s"}))
    stack.enter_context(services.server("detections", ready=lambda: True))
    wait_until(lambda: _ledger(services, "published") >= 10, timeout=60.0, what="ten detections in Kafka")
    wait_until(lambda: _states(services) == {"ok", "standby"}, timeout=30.0, what="one publishes, one stands by")
    wait_until(lambda: _scraped(services) == 2, timeout=30.0, what="Prometheus has both")
    assert _prometheus(services, "rules")["groups"], "Prometheus has no rules"
    shown = [services.execute(*_executed(line)) for line in commands("docs/deploy.md", "docker compose exec")]
    assert len(shown) == 2
    assert all(done.returncode == 0 for done in shown), shown
    assert shown[0].stdout.count("agentGuid") == 3, shown[0].stdout
    (stopped,) = (line.split()[-1] for line in commands("docs/deploy.md", "docker compose stop"))
    assert forwarders.pop(stopped).terminate() == 0
    ((left, _),) = forwarders.items()
    before = _status(services, left)["ledger"]["published"]
    wait_until(
        lambda: _status(services, left)["ledger"]["published"] > before + 5, timeout=60.0, what="the other publishes"
    )


def test_grafana_finds_its_dashboards_and_prometheus_where_compose_has_them() -> None:
    content = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    mounts = dict(volume.split(":")[1::-1] for volume in content["services"]["grafana"]["volumes"])
    provisioning = FOLDER / mounts["/etc/grafana/provisioning"]
    (provider,) = _yaml_in(provisioning / "dashboards")["providers"]
    assert list((FOLDER / mounts[provider["options"]["path"]]).glob("*.json"))
    (source,) = _yaml_in(provisioning / "datasources")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in content["services"]


def _yaml_in(folder: Path) -> dict[str, list[dict[str, Any]]]:
    (file,) = folder.glob("*.yml")
    content: dict[str, list[dict[str, Any]]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def _prometheus(services: ComposeServices, question: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{services.ports['prometheus:9090']}/api/v1/{question}"
    with urllib.request.urlopen(url, timeout=5.0) as answer:
        data: dict[str, Any] = json.load(answer)["data"]
        return data


def _scraped(services: ComposeServices) -> int:
    targets = _prometheus(services, "targets")["activeTargets"]
    return sum(target["health"] == "up" for target in targets)


def _executed(line: str) -> tuple[str, list[str]]:
    """Service and program of a line with `docker compose exec`."""
    words = line.split()
    return words[3], words[4:]


def _run(services: ComposeServices, name: str) -> None:
    done = services.run(name)
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def _ask(services: ComposeServices, name: str, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{services.ports[f'{name}:9469']}{path}", timeout=5.0) as answer:
        content: bytes = answer.read()
        return content


def _is_ready(services: ComposeServices, name: str) -> bool:
    try:
        return bool(_ask(services, name, "/readyz"))
    except OSError:
        return False


def _status(services: ComposeServices, name: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(_ask(services, name, "/status"))
    return status


def _states(services: ComposeServices) -> set[str]:
    return {_status(services, name)["state"] for name in FORWARDERS}


def _ledger(services: ComposeServices, count: str) -> int:
    return sum(int(_status(services, name)["ledger"][count]) for name in FORWARDERS)
