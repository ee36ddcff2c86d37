"""Looks into `dxlclient.config`, the file by which dxlclient finds the fabric, as dxlclient itself will read it.

What would make dxlclient fail, hang or prompt later is said here, before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from configobj import ConfigObj

from tie_forwarder.config.certificates import (
    Finding,
    authority_findings,
    certificate_findings,
    key_findings,
    reading_findings,
)
from tie_forwarder.config.faults import Fault
from tie_forwarder.config.plain_file import read_file


class Broker(NamedTuple):
    """A broker as the file names it; `address` is empty where it has none."""

    key: str
    host: str
    port: int
    address: str


_MOST_BYTES = 128 * 1024
_LONGEST_LINE = 2_000
_SLOW = re.compile(rb"\s{100}|^\s*\[\s*\[\s*\[")
"""ConfigObj takes minutes for a line with many blanks or brackets."""

_CERTIFICATES = ("BrokerCertChain", "CertFile", "PrivateKey")


class FabricFile:
    """One `dxlclient.config`."""

    def __init__(self, *, file: Path, place: str) -> None:
        self._file = file
        self._place = place

    def faults(self, *, now: datetime | None = None) -> list[Fault]:
        """Everything that is wrong with it and with the files that it names. Reads them now."""
        if unreadable := reading_findings(self._file):
            return [self._unreadable(unreadable[0])]
        try:
            settings = self._parsed()
        except Exception as error:  # noqa: BLE001 - the library's edge: it raises anything, for values it resolves too
            line = getattr(error, "line_number", None)
            place = str(self._file) if line is None else f"{self._file}, line {line}"
            message = "is not in the form of dxlclient.config (a `%` in a value is also read as a reference)"
            return [Fault(place, "", None, message, "correct it, or make it anew with dxlclient's provisionconfig")]
        return [*self._certificate_faults(_section(settings, "Certs"), now), *self._broker_faults(settings)]

    def certificate(self, setting: str) -> Path | None:
        """The path of `BrokerCertChain`, `CertFile` or `PrivateKey`; None where the file does not say it."""
        value = _section(self._settings(), "Certs").get(setting)
        return self._path(value) if isinstance(value, str) and value else None

    def _settings(self) -> dict[str, Any]:
        """All of it; empty where it cannot be read, which `faults` says."""
        try:
            return self._parsed()
        except Exception:  # noqa: BLE001 - as in `faults`
            return {}

    def _parsed(self) -> dict[str, Any]:
        lines = read_file(self._file, most_bytes=_MOST_BYTES).splitlines(keepends=True)
        if any(len(line) > _LONGEST_LINE or _SLOW.search(line) for line in lines):
            raise ValueError("no line of dxlclient.config is like this")
        settings: dict[str, Any] = ConfigObj(infile=lines, raise_errors=True).dict()
        return settings

    def brokers(self) -> list[Broker]:
        """The brokers that dxlclient will use; those that are none are left out, and all where it cannot be read."""
        settings = self._settings()
        found = []
        for key, value in _section(settings, _brokers_in_use(settings)).items():
            if _is_broker(value):
                parts = [part.strip() for part in value.split(";")]
                # As dxlclient: what begins with a number has no id.
                port, host, *rest = parts if _is_port(parts[0]) else parts[1:]
                found.append(Broker(key, host.strip("[]"), int(port), rest[0].strip("[]") if rest else ""))
        return found

    @property
    def by_websockets(self) -> bool:
        """Whether dxlclient will speak MQTT within WebSockets."""
        return _brokers_in_use(self._settings()) == "BrokersWebSockets"

    @property
    def proxy(self) -> str:
        """The HTTP proxy that stands between, as host:port; empty where there is none."""
        proxy = _section(self._settings(), "Proxy")
        address = proxy.get("Address")
        return f"{address}:{proxy.get('Port', '')}" if address and self.by_websockets else ""

    @property
    def holds_a_secret(self) -> bool:
        """Whether the password of a proxy is in it."""
        return bool(_section(self._settings(), "Proxy").get("Password"))

    def _unreadable(self, finding: Finding) -> Fault:
        provision = f"python -m dxlclient provisionconfig {self._file.parent} SERVER CLIENT_NAME"
        remedy = f"make it with `{provision}`" if finding.message == "does not exist" else finding.remedy
        return Fault(self._place, "dxl.config_file", str(self._file), finding.message, remedy)

    def _certificate_faults(self, section: Mapping[str, Any], now: datetime | None) -> Iterator[Fault]:
        paths: dict[str, Path] = {}
        for setting in _CERTIFICATES:
            value = section.get(setting)
            if isinstance(value, str) and value:
                paths[setting] = self._path(value)
            else:
                yield self._fault(f"[Certs] {setting}", None, Finding("is not set", "name the file there"))
        for setting, path in paths.items():
            for finding in _findings(setting, path, paths, now):
                yield self._fault(f"[Certs] {setting}", str(path), finding)

    def _broker_faults(self, settings: Mapping[str, Any]) -> Iterator[Fault]:
        name = _brokers_in_use(settings)
        brokers = _section(settings, name)
        if not brokers:
            remedy = "add a line for each broker, as in `{id} = {id};8883;host;address`"
            yield self._fault(f"[{name}]", None, Finding("names no broker", remedy))
        for key, value in brokers.items():
            if not _is_broker(value):
                finding = Finding(
                    "is not a broker", "write it as `{id};port;host;address`, the address may be left out"
                )
                # Without the value, which may be a password that belongs into another section.
                yield self._fault(f"[{name}] {key}", None, finding)

    def _path(self, value: str) -> Path:
        """As dxlclient: relative to the working directory if it is there, else to this file."""
        path = Path(value)
        return path if path.is_absolute() or not reading_findings(path) else self._file.parent / path

    def _fault(self, field: str, value: object, finding: Finding) -> Fault:
        return Fault(str(self._file), field, value, finding.message, finding.remedy)


def _findings(setting: str, path: Path, paths: Mapping[str, Path], now: datetime | None) -> list[Finding]:
    if setting == "BrokerCertChain":
        return authority_findings(path, now=now)
    if setting == "CertFile":
        return certificate_findings(path, now=now)
    return key_findings(path, certificate=paths.get("CertFile", path))


def _section(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = settings.get(name)
    return section if isinstance(section, Mapping) else {}


def _brokers_in_use(settings: Mapping[str, Any]) -> str:
    """The list that dxlclient will use: as `UseWebSockets` says, else WebSockets only where there is nothing else."""
    chosen = str(_section(settings, "General").get("UseWebSockets", "")).lower()
    if chosen in ("true", "yes", "on", "1"):
        return "BrokersWebSockets"
    if not chosen and not _section(settings, "Brokers") and _section(settings, "BrokersWebSockets"):
        return "BrokersWebSockets"
    return "Brokers"


def _is_broker(value: Any) -> bool:
    """`{id};port;host[;address]`, or the same without the id."""
    parts = [part.strip() for part in value.split(";")] if isinstance(value, str) else []
    for port, host in pairwise(parts[:3]):
        if _is_port(port):
            return bool(host)
    return False


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535
