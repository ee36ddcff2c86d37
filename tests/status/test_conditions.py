"""No state and no reason is shown that does not stand in the one list: the runbook is held equal to that list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import tie_forwarder
from tests.harness.clock import Clock
from tests.status.test_health import NOW
from tie_forwarder.config.inspection import Certificate
from tie_forwarder.status.conditions import CONDITIONS
from tie_forwarder.status.health import Compacted, Facts, Health, Trouble
from tie_forwarder.status.metrics import DROP_REASONS, PUBLISH_ERRORS, ROLES
from tie_forwarder.status.trends import Surge

PACKAGE = Path(tie_forwarder.__file__).parent
OWN = {
    "buffering": {"kafka_slow", "behind", "connecting"},
    "blocked": {"cannot_start"},
}
"""What does not come from the publisher."""

_TIMES = st.none() | st.floats(NOW - 200, NOW)
_TROUBLES = st.builds(
    Trouble,
    st.sampled_from(["transient", "blocked", "poison", "fenced"]),
    st.sampled_from(sorted({code for codes in PUBLISH_ERRORS.values() for code in codes} | {"cannot_start", "new"})),
    st.text(),
    st.sampled_from(["", "do this"]),
)
_CERTIFICATES = st.builds(
    Certificate,
    st.sampled_from(["dxl_client", "dxl_brokers", "kafka_client", "kafka_brokers"]),
    st.just(Path("x.crt")),
    st.floats(NOW - 1e7, NOW + 1e7),
)
_TRIED: dict[str, st.SearchStrategy[Any]] = {
    "now": st.just(NOW),
    "starting": st.booleans(),
    "receiver_ready": st.booleans(),
    "receiver_fault": st.sampled_from(["", "deaf", "fabric_unreachable", "subscription_refused"]),
    "receiver_detail": st.text(),
    "receiver_not_replaced": st.text(),
    "only_events_come": st.booleans(),
    "publisher_unconnected_seconds": st.floats(0, 100),
    "publisher_waiting_seconds": st.floats(0, 100),
    "publisher_trouble": st.none() | _TROUBLES,
    "spool_events": st.integers(0, 10),
    "spool_oldest_at": _TIMES,
    "disk_error": st.sampled_from(["", "disk I/O error"]),
    "last_drop_at": _TIMES,
    "last_drop_reason": st.sampled_from(DROP_REASONS),
    "ledger_imbalance": st.integers(-1, 1),
    "role": st.sampled_from(ROLES),
    "spool_unmoved_seconds": st.floats(0, 200),
    "takeover_after_seconds": st.floats(1, 30),
    "withheld_topics": st.sampled_from([(), ("/topic",)]),
    "compacted": st.none() | st.just(Compacted(("t",), "mend")),
    "certificates": st.tuples() | st.tuples(_CERTIFICATES),
    "last_surge_at": _TIMES,
    "last_surge": st.text(),
    "spool_displaced": st.sampled_from(["", "the file was deleted"]),
    "last_rescue_at": _TIMES,
    "last_rescue": st.text(),
}


@given(st.builds(Facts, **_TRIED))
def test_whatever_the_facts_are_state_and_reason_are_of_the_set_and_every_problem_says_what_to_do(facts: Facts) -> None:
    found = Health(now=lambda: NOW).assess(facts)
    assert found.reason in CONDITIONS[found.state]
    for problem in found.problems:
        assert problem.reason in CONDITIONS[problem.state]
        assert problem.remedy, problem


def test_the_facts_that_are_tried_are_all_that_there_are() -> None:
    assert set(_TRIED) == {each.name for each in fields(Facts)}


def test_the_reasons_of_the_publisher_are_the_codes_of_its_metric() -> None:
    assert set(CONDITIONS["buffering"]) == set(PUBLISH_ERRORS["transient"]) | OWN["buffering"]
    assert set(CONDITIONS["blocked"]) == set(PUBLISH_ERRORS["blocked"]) | OWN["blocked"]


def verdicts() -> Iterator[tuple[str, str]]:
    """Class and code of each verdict that the publisher's source makes with both written out."""
    for path in sorted((PACKAGE / "publisher").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Verdict":
                place, code = node.args[:2]
                if isinstance(place, ast.Attribute) and isinstance(code, ast.Constant):
                    yield place.attr.lower(), str(code.value)


def test_every_verdict_in_the_source_has_a_code_of_the_set() -> None:
    found = set(verdicts())
    assert len(found) > 10
    assert {(kind, code) for kind, code in found if code not in PUBLISH_ERRORS[kind]} == set()


def test_no_meaning_is_given_twice() -> None:
    meanings = [meaning for state in ("buffering", "blocked", "degraded") for meaning in CONDITIONS[state].values()]
    assert len(set(meanings)) == len(meanings)


def test_a_few_dead_letters_are_no_surge_and_many_are_one() -> None:
    clock = Clock()
    surge = Surge(monotonic=clock)
    seen = []
    for seconds, received, letters in [
        (0, 0, 0),
        (10, 9_000, 300),
        (10, 9_019, 319),
        (60, 9_059, 349),
        (61, 9_060, 349),
    ]:
        clock.now += seconds
        surge.look(received=received, published=received // 2, dead=letters)
        seen.append(surge.seen_at)
    assert seen == [None, None, None, clock.now - 61, clock.now - 61]
    assert surge.text == "30 of the last 40 events became dead letters"


def test_a_surge_before_the_first_look_is_one_too() -> None:
    clock = Clock()
    surge = Surge(monotonic=clock)
    clock.now += 0.5
    surge.look(received=0, published=100, dead=60)
    assert surge.text == "60 of the last 100 events became dead letters"
