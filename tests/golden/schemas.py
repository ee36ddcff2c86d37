"""The schemas that the package carries, and those of the last release, which consumers are built on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tie_forwarder
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.records.formats import FORMATS

PACKAGE = Path(tie_forwarder.__file__).parent / "schemas"
RELEASED = Path(__file__).with_name("released")
"""Replaced at a release, and only then: `cp tie_forwarder/schemas/*.json tests/golden/released/`."""


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema with the name of its file."""
    for name, form in FORMATS.items():
        if form.schema is not None:
            for kind in KINDS.values():
                yield f"{kind.name}.{name}.json", form.schema(kind)


def as_text(schema: dict[str, Any]) -> str:
    """As the files have it, and as `tie-forwarder schema` prints it."""
    return json.dumps(schema, indent=2) + "\n"
