"""Takes options from environment variables: `TIE_FORWARDER_<SECTION>__<OPTION>`, deeper levels after further `__`.

Variables with the prefix but without `__` are left alone: Kubernetes makes such ones for a service of that name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tie_forwarder.config.document import value_of
from tie_forwarder.config.options import is_section
from tie_forwarder.config.origins import Option

_PREFIX = "TIE_FORWARDER_"
_LEVEL = "__"


def environment_options(environ: Mapping[str, str]) -> Iterator[tuple[Option, Any, str]]:
    """Yields option, value and place for every variable that sets one, in the order of their names."""
    for variable in sorted(environ):
        if variable.startswith(_PREFIX) and _LEVEL in variable[len(_PREFIX) :]:
            option = tuple(variable[len(_PREFIX) :].lower().split(_LEVEL))
            yield option, value_from_text(option, environ[variable]), f"environment variable {variable}"


def value_from_text(option: Option, text: str) -> Any:
    """What `text` means for this option. The models turn text into numbers; only what has structure is read here."""
    if option[:2] == ("kafka", "producer"):
        return _producer_value(option, text)
    return _json_or_text(text) if is_section(option) else text


def _producer_value(option: Option, text: str) -> Any:
    """The producer's options have no models that would turn text into numbers."""
    return _json_or_text(text) if len(option) == 2 else value_of(text)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return text
