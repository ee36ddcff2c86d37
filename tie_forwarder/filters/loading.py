"""From the configuration to the filters that are in force. Reads the list files, each time anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tie_forwarder.config.faults import ConfigError, Fault
from tie_forwarder.config.filters import Filters
from tie_forwarder.filters.filter_set import Filter, FilterSet
from tie_forwarder.filters.list_file import ListFileError, read_agents, read_hashes
from tie_forwarder.filters.listed import AgentFilter, HashFilter
from tie_forwarder.filters.trust_level import TrustLevelFilter


def load_filters(section: Filters) -> FilterSet:
    """The filters of the configuration. Blocks for the disk; raises `ConfigError`, which names option and file."""
    found: list[Filter] = []
    if section.trust_level_at_least is not None or section.trust_level_at_most is not None:
        found.append(TrustLevelFilter(section.trust_level_at_least, section.trust_level_at_most))
    for option, path, load in _lists(section):
        try:
            found.append(load())
        except ListFileError as error:
            raise ConfigError([Fault("", option, str(path), error.message, error.remedy)]) from error
    return FilterSet(tuple(found))


def list_faults(section: Filters) -> Iterator[tuple[str, Path, ListFileError]]:
    """What is wrong with each list file, with its option."""
    for option, path, load in _lists(section):
        try:
            load()
        except ListFileError as error:
            yield option, path, error


def _lists(section: Filters) -> Iterator[tuple[str, Path, Callable[[], Filter]]]:
    hashes, agents = section.hashes_file, section.agents_file
    if hashes is not None:
        allow = section.hashes_mode == "allow"
        yield "filters.hashes_file", hashes, lambda: HashFilter(read_hashes(hashes, allow=allow), allow)
    if agents is not None:
        only_these = section.agents_mode == "allow"
        yield "filters.agents_file", agents, lambda: AgentFilter(read_agents(agents, allow=only_these), only_these)
