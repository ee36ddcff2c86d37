"""The schema of a kind's records as a schema registry is given it.

In draft-07, the newest that every registry can compare with an earlier version and every deserialiser reads. What the
models make of it differs from draft 2020-12 in the names of two keywords only.
"""

from __future__ import annotations

import json
from typing import Any

from tie_forwarder.events.event import Kind
from tie_forwarder.records.formats import FORMATS

_DIALECT = "http://json-schema.org/draft-07/schema#"


def registered_schema(kind: Kind, form: str = "json") -> str:
    """The schema as text, always the same for the same version of the forwarder; of a format that has schemas."""
    made = FORMATS[form].schema
    assert made is not None, "the configuration refuses a registry for records without a schema"
    schema = {**made(kind), "$schema": _DIALECT}
    return json.dumps(_with_older_names(schema), separators=(",", ":"))


def _with_older_names(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_older_names(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    older = {"definitions" if name == "$defs" else name: _with_older_names(value) for name, value in schema.items()}
    if isinstance(older.get("$ref"), str):
        older["$ref"] = older["$ref"].replace("#/$defs/", "#/definitions/")
    return older
