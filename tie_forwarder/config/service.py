"""The small sections about the process itself: `http`, `log` and `shutdown`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from tie_forwarder.config.address import Address, parse_address
from tie_forwarder.config.component import Component, Items, OptionalText, refusal

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})")


def _host_name(name: str) -> str:
    if not _HOST_NAME.fullmatch(name):
        raise refusal("is not a host name", remedy="write a name without scheme and port, as in forwarder.example.com")
    return name.lower().rstrip(".")


class Http(Component):
    """Where metrics and health are served."""

    listen: OptionalText = "127.0.0.1:9469"
    allowed_hosts: Annotated[tuple[Annotated[str, AfterValidator(_host_name)], ...], Items] = ()
    show_payload_bytes: bool = True

    @property
    def address(self) -> Address | None:
        """`listen` in its parts; None when nothing is to be served. Port 0 means any free port."""
        return None if self.listen is None else parse_address(self.listen, lowest_port=0)

    @field_validator("listen")
    @classmethod
    def _an_address(cls, listen: str | None) -> str | None:
        return None if listen is None else str(parse_address(listen, lowest_port=0))


class Log(Component):
    """What is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Shutdown(Component):
    """How long SIGTERM may take."""

    drain_seconds: Annotated[float, Field(ge=0)] = 20
