"""`host:port`, with IPv6 addresses in brackets."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from tie_forwarder.config.component import refusal

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})")


class Address(NamedTuple):
    """A host (an IPv6 address without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, *, lowest_port: int = 1) -> Address:
    """Splits `text`; raises pydantic's error with a remedy when it is no address. Resolves no names."""
    if "://" in text:
        raise refusal("carries a scheme", remedy="write host:port only")
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise refusal("must be host:port", remedy="give both; 0.0.0.0 or [::] stands for every address")
    if not (port.isascii() and port.isdigit() and lowest_port <= int(port) <= 65535):
        raise refusal(f"must end in a port from {lowest_port} to 65535", remedy="write host:port")
    return Address(_parse_host(host), int(port))


def _parse_host(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise refusal("has no IPv6 address between its brackets", remedy="write it as [::1]:9092") from None
    if ":" in host:
        raise refusal("has several colons", remedy="write an IPv6 address in brackets, as in [::1]:9092")
    if not _HOST.fullmatch(host):
        raise refusal("has an impossible host name", remedy="write host:port without spaces or other signs")
    return host
