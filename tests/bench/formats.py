"""What the formats cost: the CPU of intake for each event (decode, validate, render), beside that of `json`."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.data.payloads import SAMPLES, message
from tie_forwarder.events.message import TOPICS
from tie_forwarder.intake import Intake
from tie_forwarder.records.formats import FORMATS

_CLIENT, _BROKER = "68f3c7c6c0d2a25ad0d3c7f0a2ec1ac7d0ea2c11", "{302fcba6-0d4f-4ca9-8532-704c9bbb8144}"
"""As a real broker stamps them; every format says them."""

_EVENTS = 2_000
_ROUNDS = 9


def microseconds_by_format(kind: str) -> dict[str, float]:
    """Microseconds of CPU for one event of the kind in each format: the best of some rounds in turn."""
    sample = message(SAMPLES[kind], topic=TOPICS[kind], source_client_id=_CLIENT, source_broker_id=_BROKER)
    intakes = {
        form: Intake(fabric="main", key_by="agent_guid", kinds=(kind,), formats={kind: form}) for form in FORMATS
    }
    best = dict.fromkeys(FORMATS, float("inf"))
    for _ in range(_ROUNDS):
        for form, intake in intakes.items():
            best[form] = min(best[form], _cpu_of(lambda intake=intake: intake.accept(sample)))  # type: ignore[misc]
    return {form: seconds / _EVENTS * 1e6 for form, seconds in best.items()}


def _cpu_of(call: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(_EVENTS):
        call()
    return time.process_time() - started
