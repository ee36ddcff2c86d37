"""The small sections of the configuration: `dxl`, `filters`, `group`, `spool`, `http`, `log` and `shutdown`."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ByteSize, Field, field_validator, model_validator

from tie_forwarder.config.address import Address, parse_address
from tie_forwarder.config.component import (
    BlankIsNone,
    Component,
    Items,
    Location,
    Name,
    OptionalText,
    Refusal,
    contradiction,
    refusal,
)

Kind = Literal["detection", "first_instance", "file_reputation_change", "certificate_reputation_change"]

_NOTICED_WITHIN_SECONDS = 30


class Dxl(Component):
    """Where the events come from."""

    config_file: Location = Path("dxlclient.config")
    fabric: Name = "main"
    events: Annotated[tuple[Kind, ...], Items, Field(min_length=1)] = ("detection",)
    keep_alive_seconds: Annotated[int, Field(ge=1, le=1800)] = 60
    canary_interval_seconds: Annotated[float, Field(gt=0)] = 2
    canary_timeout_seconds: Annotated[float, Field(gt=0)] = 15
    receiver_queue_events: Annotated[int, Field(ge=1)] = 50_000

    @field_validator("events")
    @classmethod
    def _each_kind_once(cls, events: tuple[Kind, ...]) -> tuple[Kind, ...]:
        return tuple(dict.fromkeys(events))

    @model_validator(mode="after")
    def _deafness_is_noticed_in_time(self) -> Dxl:
        found = []
        if self.canary_interval_seconds >= self.keep_alive_seconds:
            found.append(
                Refusal(
                    "canary_interval_seconds",
                    "must be shorter than keep_alive_seconds, or the broker ends the connection: "
                    "the canary is all that the receiver sends",
                    "give at most half of keep_alive_seconds",
                    self.canary_interval_seconds,
                )
            )
        if self.canary_timeout_seconds <= self.canary_interval_seconds:
            found.append(
                Refusal(
                    "canary_timeout_seconds",
                    "must be longer than canary_interval_seconds, or every canary is late",
                    "give at least twice the interval",
                    self.canary_timeout_seconds,
                )
            )
        if self.canary_interval_seconds + self.canary_timeout_seconds > _NOTICED_WITHIN_SECONDS:
            found.append(
                Refusal(
                    "canary_timeout_seconds",
                    f"exceeds, together with canary_interval_seconds, the {_NOTICED_WITHIN_SECONDS} s "
                    "within which a deaf receiver must be noticed",
                    "lower one of the two",
                    self.canary_timeout_seconds,
                )
            )
        if found:
            raise contradiction(found)
        return self


Mode = Literal["deny", "allow"]
TrustLevel = Annotated[Annotated[int, Field(ge=1, le=100)] | None, BlankIsNone]
ListFile = Annotated[Location | None, BlankIsNone]


class Filters(Component):
    """What is left out, by what an event says; what it does not say never leaves it out."""

    trust_level_at_least: TrustLevel = None
    trust_level_at_most: TrustLevel = None
    hashes_file: ListFile = None
    hashes_mode: Mode = "deny"
    agents_file: ListFile = None
    agents_mode: Mode = "deny"

    @model_validator(mode="after")
    def _each_option_has_an_effect(self) -> Filters:
        found = [
            Refusal(f"{what}_mode", f"has no effect without {what}_file", f"give {what}_file, or leave it out", "allow")
            for what in ("hashes", "agents")
            if getattr(self, f"{what}_mode") == "allow" and getattr(self, f"{what}_file") is None
        ]
        least, most = self.trust_level_at_least, self.trust_level_at_most
        if least is not None and most is not None and least > most:
            message = f"is above trust_level_at_most, {most}, so that no trust level would pass"
            found.append(Refusal("trust_level_at_least", message, "give the lower one here", least))
        if found:
            raise contradiction(found)
        return self


_LEAST_TAKEOVER_SECONDS = 3.0


class Group(Component):
    """Who this forwarder is among those that forward the same fabric to the same topics."""

    name: Name = "tie-forwarder"
    member: Name = Field(default_factory=socket.gethostname)
    takeover_after_seconds: float = 10
    window_seconds: Annotated[float, Field(gt=0)] = 600
    margin_seconds: Annotated[float, Field(gt=0)] = 600

    @field_validator("member", mode="before")
    @classmethod
    def _the_host_by_default(cls, member: Any) -> Any:
        return socket.gethostname() if member in (None, "") else member

    @field_validator("takeover_after_seconds")
    @classmethod
    def _longer_than_what_passes_by_itself(cls, seconds: float) -> float:
        if not seconds >= _LEAST_TAKEOVER_SECONDS:
            raise refusal(
                f"must be at least {_LEAST_TAKEOVER_SECONDS:g}: replacing a publisher process alone takes about two",
                remedy="raise it; 10 is usual",
            )
        return seconds

    @model_validator(mode="after")
    def _memory_outlasts_a_takeover(self) -> Group:
        found = [
            Refusal(
                option, "must be longer than takeover_after_seconds", "raise it; 600 is usual", getattr(self, option)
            )
            for option in ("window_seconds", "margin_seconds")
            if getattr(self, option) <= self.takeover_after_seconds
        ]
        if found:
            raise contradiction(found)
        return self


WhenFull = Literal["drop_oldest", "drop_newest"]


class Spool(Component):
    """The file between the fabric and Kafka."""

    directory: Location = Path("spool")
    max_bytes: Annotated[ByteSize, Field(ge=1024**2)] = ByteSize(4 * 1024**3)
    when_full: WhenFull = "drop_oldest"
    commit_interval_ms: Annotated[int, Field(ge=0, le=1000)] = 10


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
