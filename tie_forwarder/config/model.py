"""The whole configuration as one frozen model, and where each of its values came from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, PrivateAttr

from tie_forwarder.config.component import Component
from tie_forwarder.config.kafka import Kafka
from tie_forwarder.config.sections import Dxl, Filters, Group, Http, Log, Shutdown, Spool

_LIKE_AN_OPTION = re.compile(r"[a-z][a-z_]{0,40}|socks5_proxy")

Option = tuple[str, ...]
"""An option's path from the root: `("kafka", "security", "protocol")`."""


@dataclass(frozen=True)
class Origins:
    """The place of every option that was given. A later source replaces an earlier one."""

    _places: dict[Option, str] = field(default_factory=dict)

    def note(self, option: Option, place: str) -> None:
        self._places[option] = place

    def place_of(self, option: Option) -> str:
        """The place of the option itself, or of what was given inside it; empty when nothing was."""
        if option in self._places:
            return self._places[option]
        inside = (place for path, place in self._places.items() if path[: len(option)] == option)
        return next(inside, "")

    def place_around(self, option: Option) -> str:
        """The same, or the place of the nearest section around it."""
        for length in range(len(option), 0, -1):
            place = self.place_of(option[:length])
            if place:
                return place
        return ""


def dotted(location: Iterable[str | int]) -> str:
    """The option as a person writes it: `kafka.bootstrap_servers[1]`.

    A name that does not look like that of an option may be a secret, as in `{password:hunter2}`, and is not shown.
    """
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _LIKE_AN_OPTION.fullmatch(part) else "***"
            text += f".{name}" if text else name
    return text


class Config(Component):
    """Everything that can be configured. Made by `load`; without arguments it holds the defaults, paths unresolved."""

    dxl: Dxl = Field(default_factory=Dxl)
    filters: Filters = Field(default_factory=Filters)
    kafka: Kafka = Field(default_factory=Kafka)
    group: Group = Field(default_factory=Group)
    spool: Spool = Field(default_factory=Spool)
    http: Http = Field(default_factory=Http)
    log: Log = Field(default_factory=Log)
    shutdown: Shutdown = Field(default_factory=Shutdown)

    _file: Path | None = PrivateAttr(default=None)
    _origins: Origins = PrivateAttr(default_factory=Origins)

    @property
    def file(self) -> Path | None:
        """The file that it was loaded from."""
        return self._file

    def place_of(self, field: str) -> str:
        """Where the option (with dots) was set, for a person to find it; empty for a default."""
        return self._origins.place_of(tuple(field.split(".")))

    def remember(self, *, file: Path, origins: Origins) -> None:
        """Called once, by `load`."""
        self._file = file
        self._origins = origins
