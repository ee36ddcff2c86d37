"""Intake as the configuration wants it, and its filters: read from their files at the start and at each reload."""

from __future__ import annotations

from tie_forwarder.config import Config
from tie_forwarder.errors import ForwarderError
from tie_forwarder.filters.filter_set import FilterSet
from tie_forwarder.filters.loading import load_filters
from tie_forwarder.intake import Intake
from tie_forwarder.log import Log


class Filtering:
    """Makes intake, and gives it its filters. One thread; intake may be at work on another."""

    def __init__(self, config: Config) -> None:
        self.intake = Intake(
            fabric=config.dxl.fabric,
            key_by=config.kafka.key,
            kinds=config.dxl.events,
            formats=config.kafka.format.by_kind(),
        )
        """It filters nothing before `load`."""
        self._log = Log()

    def load(self, config: Config) -> None:
        """Reads the lists for the first time. Blocks for the disk; raises ForwarderError when one cannot be used."""
        self._take(load_filters(config.filters))

    def load_again(self, config: Config) -> None:
        """Reads them again. Where one cannot be used, all filters stay as they were, and the log says so."""
        try:
            self._take(load_filters(config.filters))
        except ForwarderError as error:
            self._log.warning("filters.kept", fault=str(error), effect="the filters in force stay as they were")

    def _take(self, filters: FilterSet) -> None:
        changed = filters != self.intake.filters
        self.intake.filters = filters
        if changed:
            not_forwarded = [f"{each.name}: {each.meaning}" for each in filters.filters]
            self._log.info("filters.changed", not_forwarded=not_forwarded)
