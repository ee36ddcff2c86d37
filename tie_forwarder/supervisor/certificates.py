"""The certificates in use and when they end, read again now and then, since they are renewed under a running daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tie_forwarder.config import Config
from tie_forwarder.config.certificates import certificate_expiry
from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.errors import ForwarderError

_BETWEEN_LOOKS_SECONDS = 60.0


class Certificate(NamedTuple):
    """One certificate file."""

    role: str
    path: Path
    ends_at: float
    """Seconds since the epoch."""


class Certificates:
    """Looks at the files at most once a minute. One thread."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._looked_at: float | None = None
        self._found: tuple[Certificate, ...] = ()

    def current(self, config: Config) -> tuple[Certificate, ...]:
        """The certificates that can be read; what cannot is left out."""
        now = self._monotonic()
        if self._looked_at is None or now - self._looked_at > _BETWEEN_LOOKS_SECONDS:
            self._looked_at = now
            self._found = tuple(_look(config))
        return self._found


def _look(config: Config) -> list[Certificate]:
    fabric = FabricFile(file=config.dxl.config_file, place="")
    paths = {
        "dxl_client": fabric.certificate("CertFile"),
        "dxl_brokers": fabric.certificate("BrokerCertChain"),
        "kafka_client": config.kafka.security.certificate_file,
        "kafka_brokers": config.kafka.security.ca_file,
    }
    found = []
    for role, path in paths.items():
        if path is not None:
            try:
                found.append(Certificate(role, path, certificate_expiry(path).timestamp()))
            except ForwarderError:
                continue  # a file that is being renewed right now; the next look sees it
    return found
