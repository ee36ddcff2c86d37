"""The schema registry: does it know the schemas of the records, or would it take them? Registers nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tie_forwarder.check.findings import Step, Trying, failed, ok
from tie_forwarder.kafka.errors import Verdict
from tie_forwarder.kafka.registry import ask_registry
from tie_forwarder.kafka.schema_ids import schemas_by_subject

_CODE = "registry.schemas"


def steps(settings: dict[str, Any]) -> Iterator[Step]:
    """`registry` is the configuration with its schemas, `topics` are by destination."""
    registry = settings["registry"]
    subject = registry["url"]
    yield Trying(_CODE, subject)
    answer = ask_registry("examine", registry, schemas_by_subject(registry, settings["topics"]))
    if isinstance(answer, Verdict):
        yield failed(_CODE, subject, answer.detail, answer.remedy)
    else:
        yield ok(_CODE, subject, ", ".join(f"{name} {_registered(number)}" for name, number in answer.items()))


def _registered(schema_id: int | None) -> str:
    return "would be taken" if schema_id is None else f"is registered as {schema_id}"
