"""The `dxl` section: the fabric, the events to take from it, and how deafness is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tie_forwarder.config.component import Component, Items, Location, Name, Refusal, contradiction

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
