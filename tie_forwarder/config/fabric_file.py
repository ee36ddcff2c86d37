"""Looks into `dxlclient.config`, the file by which dxlclient finds the fabric, as dxlclient itself will read it.

What would make dxlclient fail, hang or prompt later is said here, before it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from configobj import ConfigObj, ConfigObjError

from tie_forwarder.config.certificates import (
    Finding,
    authority_findings,
    certificate_findings,
    key_findings,
    reading_findings,
)
from tie_forwarder.config.faults import Fault


class Broker(NamedTuple):
    """A broker as the file names it; `address` is empty where it has none."""

    key: str
    host: str
    port: int
    address: str


_CERTIFICATES = ("BrokerCertChain", "CertFile", "PrivateKey")


class FabricFile:
    """One `dxlclient.config`."""

    def __init__(self, *, file: Path, place: str) -> None:
        self._file = file
        self._place = place

    def faults(self, *, now: datetime | None = None) -> list[Fault]:
        """Everything that is wrong with it and with the files that it names. Reads them now."""
        if reading_findings(self._file):
            return [self._unreadable(reading_findings(self._file)[0])]
        try:
            content = ConfigObj(infile=str(self._file), raise_errors=True, file_error=True)
            settings = content.dict()
        except (ConfigObjError, UnicodeDecodeError) as error:
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
            settings: dict[str, Any] = ConfigObj(infile=str(self._file), file_error=True).dict()
        except (OSError, ConfigObjError, UnicodeDecodeError):
            return {}
        return settings

    def brokers(self) -> list[Broker]:
        """The brokers that dxlclient will use; those that are none are left out, and all where it cannot be read."""
        settings = self._settings()
        found = []
        for key, value in _section(settings, _brokers_in_use(settings)).items():
            if _is_broker(value):
                parts = [part.strip() for part in value.split(";")]
                # As dxlclient: what begins with a number has no id.
                port, host, *rest = parts if parts[0].isdigit() else parts[1:]
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
                yield self._fault(f"[{name}] {key}", value, finding)

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
        if port.isascii() and port.isdigit() and 1 <= int(port) <= 65535:
            return bool(host)
    return False
