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

from tests.harness.ports import is_listening
from tests.harness.waiting import wait_until
from tests.manifests.compose_services import ComposeServices

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
    for name in FORWARDERS:
        stack.enter_context(services.server(name, ready=partial(_is_ready, services, name)))
    stack.enter_context(services.server("detections", ready=lambda: True))
    wait_until(lambda: _ledger(services, "published") >= 10, timeout=60.0, what="ten detections in Kafka")
    wait_until(lambda: _states(services) == {"ok", "standby"}, timeout=30.0, what="one publishes, one stands by")


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
