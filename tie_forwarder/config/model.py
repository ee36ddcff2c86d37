"""The whole configuration as one frozen model, and where each of its values came from."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PrivateAttr

from tie_forwarder.config.component import Component
from tie_forwarder.config.dxl import Dxl
from tie_forwarder.config.filters import Filters
from tie_forwarder.config.group import Group
from tie_forwarder.config.kafka import Kafka
from tie_forwarder.config.origins import Origins
from tie_forwarder.config.service import Http, Log, Shutdown
from tie_forwarder.config.spool import Spool


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
