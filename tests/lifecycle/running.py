"""What the tests of the daemon's life ask of a running one."""

from __future__ import annotations

import json
import signal
from typing import Any

import psutil

from tests.harness.forwarder import Forwarder
from tests.harness.waiting import wait_until


class NoKafka:
    """An address at which nobody listens."""

    bootstrap_servers = ("127.0.0.1:9",)


def children_of(forwarder: Forwarder) -> list[psutil.Process]:
    """All processes below its main one."""
    return psutil.Process(forwarder.pid).children(recursive=True)


def log_of(forwarder: Forwarder) -> list[dict[str, Any]]:
    """Every whole line of its log."""
    # The last line may be half written.
    return [json.loads(line) for line in forwarder.log().splitlines() if line.startswith("{") and line.endswith("}")]


def reload(forwarder: Forwarder) -> dict[str, Any]:
    """Sends SIGHUP and waits for what the log says of it."""

    def reloads() -> list[dict[str, Any]]:
        return [line for line in log_of(forwarder) if line["event"] in ("reload.done", "reload.refused")]

    before = len(reloads())
    forwarder.signal(signal.SIGHUP)
    wait_until(lambda: len(reloads()) > before, timeout=15.0, what="the reload")
    return reloads()[-1]
