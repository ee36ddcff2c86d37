"""What the formats that name things have in common: the case of field names, and reputations with their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tie_forwarder.events.names import TRUST_LEVELS, Provider

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=1024)
def snake_case(name: str) -> str:
    """`agentGuid` as `agent_guid`; an unknown name of any form stays what it is but for that."""
    return _HUMP.sub("_", name).lower() if name.isidentifier() else name


def named_reputations(by_provider: Mapping[Any, Any], providers: Mapping[int, Provider]) -> list[dict[str, Any]]:
    """Reputations as a list, since a field whose name is a number serves nobody, with the names that are public."""
    found = []
    for provider_id, reputation in by_provider.items():
        provider = providers.get(provider_id)
        named: dict[str, Any] = {}
        for name, value in reputation.items():
            named[snake_case(name)] = value
        if provider is not None:
            named["provider"] = provider.name
            if named.get("attributes"):
                named["attributes"] = {
                    provider.attributes.get(number, number): value for number, value in named["attributes"].items()
                }
        if named.get("trust_level") in TRUST_LEVELS:
            named["trust_level_name"] = TRUST_LEVELS[named["trust_level"]]
        found.append(named)
    return found
