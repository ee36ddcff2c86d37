"""The `group` section: the forwarders that share one output, and when one of them takes over from another."""

from __future__ import annotations

import socket
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from tie_forwarder.config.component import Component, Name, Refusal, contradiction, refusal

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
