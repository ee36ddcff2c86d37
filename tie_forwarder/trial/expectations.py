"""The lines that an area will have, so that each of them is told where the area does not come to them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tie_forwarder.trial import clock
from tie_forwarder.trial.finding import Trying

_OF_A_CLIENT = ("file", "expiry", "signature", "key", "chain")
_OF_AUTHORITIES = ("file", "expiry", "chain")
_OF_A_BROKER = ("name", "tcp", "tls", "connack", "subscription", "canary")
_OF_A_TOPIC = (
    "exists", "replication", "in_sync", "retention", "cleanup", "size", "compression", "timestamps", "rights",
)  # fmt: skip
_OF_THE_DISK = ("rights", "lock", "file_system", "space", "flush")

Settings = dict[str, Any]


def expected(module: str, settings: Settings) -> list[Trying]:
    """Code and subject of each line of an area, in their order."""
    return _BY_MODULE[module](settings)


def _certificates(settings: Settings) -> list[Trying]:
    return [
        Trying(f"certificate.{aspect}", file["role"])
        for file in settings["files"]
        for aspect in (_OF_A_CLIENT if file["kind"] == "client" else _OF_AUTHORITIES)
    ]


def _fabric(settings: Settings) -> list[Trying]:
    return [Trying(f"fabric.{aspect}", f"{settings['host']}:{settings['port']}") for aspect in _OF_A_BROKER]


def _kafka(settings: Settings) -> list[Trying]:
    connection, group = settings["connection"], settings["group"]
    servers = connection["bootstrap_servers"]
    lines = [Trying("kafka.server", server) for server in servers]
    if str(connection["security_protocol"]).startswith("SASL"):
        lines += [Trying("kafka.login", server) for server in servers]
    lines.append(Trying("kafka.cluster", "cluster"))
    lines += [Trying(f"topic.{aspect}", topic) for topic in settings["topics"] for aspect in _OF_A_TOPIC]
    if group is not None:
        lines += [Trying("transactions.ability", group), Trying("transactions.rights", group)]
        lines.append(Trying("transactions.replay", settings["replay"]))
    return [*lines, Trying(clock.CODE, clock.SUBJECT)]


def _registry(settings: Settings) -> list[Trying]:
    return [Trying("registry.schemas", settings["registry"]["url"])]


def _disk(settings: Settings) -> list[Trying]:
    return [Trying(f"disk.{aspect}", settings["directory"]) for aspect in _OF_THE_DISK]


def _port(settings: Settings) -> list[Trying]:
    return [Trying("port.free", settings["listen"] or "none")]


_BY_MODULE: dict[str, Callable[[Settings], list[Trying]]] = {
    "certificates": _certificates,
    "fabric": _fabric,
    "kafka": _kafka,
    "registry": _registry,
    "disk": _disk,
    "port": _port,
}
