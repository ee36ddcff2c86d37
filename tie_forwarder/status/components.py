"""How each part of the flow is, from the fabric to Kafka, so that a picture can show whose fault it is. Pure.

The faulty part stands out and its neighbours do not: what is merely held up by another part is `waiting`.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NamedTuple

from tie_forwarder.status.health import Facts, Problem

PARTS = ("fabric", "receiver", "intake", "spool", "publisher", "kafka")
HEALTHS = ("ok", "idle", "waiting", "attention", "fault")
"""`idle`: has nothing to do, and that is well. `waiting`: held up by another part, or not there yet."""

_PLACES = {
    "fabric_unreachable": "fabric",
    "certificate_expired": "fabric",
    "subscription_refused": "fabric",
    "events_withheld": "fabric",
    "deaf": "receiver",
    "starting": "receiver",
    "receiver_not_replaced": "receiver",
    "spool_not_writable": "spool",
    "spool_displaced": "spool",
    "dead_letters": "intake",
    "ledger_imbalance": "intake",
    "behind": "publisher",
    "cannot_start": "publisher",
    "producer_options": "publisher",
    "unsupported_codec": "publisher",
    "clock": "publisher",
    "spool": "spool",
    "registry_client": "publisher",
}
"""Where a problem is by its reason; what is not listed is Kafka's, or that of the way to it."""
_DROPS_OF_RECEIVER = ("receiver_queue_full", "receiver_lost")

_WORDS = {
    "fabric_unreachable": "unreachable",
    "certificate_expired": "certificate ended",
    "subscription_refused": "refuses a topic",
    "events_withheld": "withholds events",
    "dead_letters": "dead letters",
    "deaf": "deaf",
    "starting": "connecting",
    "spool_not_writable": "cannot write",
    "spool_displaced": "file replaced",
    "events_dropped": "drops events",
    "ledger_imbalance": "miscounts",
    "behind": "behind",
    "kafka_slow": "slow",
    "connecting": "connecting",
    "connection": "unreachable",
    "receiver_not_replaced": "old connection",
    "output_compacted": "forgets events",
    "certificate_ends_soon": "certificate ends",
}
"""In a word or two; a reason that is not listed is said by its code."""

_WELL = ("ok", "standby")
"""The states of a problem that holds nobody up."""

_RECENT_LETTER_SECONDS = 120.0
_NEARLY_FULL = 0.5


class Part(NamedTuple):
    """One part of the flow."""

    name: str
    health: str
    word: str
    """In a word or two, beside the colour."""
    detail: str
    """A sentence, where there is something to say."""


def parts_of(
    facts: Facts, problems: Sequence[Problem], *, last_letter_at: float | None = None, spool_share: float = 0.0
) -> tuple[Part, ...]:
    """Every part in the order of the flow. `problems` are those of the assessment of these facts, the worst first.

    `spool_share` is how much of the spool's room is taken, from 0 to 1.
    """
    found: dict[str, Part] = {}
    broken = set()
    for problem in problems:
        place = _place_of(problem, facts)
        found.setdefault(place, Part(place, _health_of(problem), _word_of(problem), problem.detail))
        if problem.state not in _WELL:
            broken.add(place)
    others = (
        _fabric(facts),
        _receiver(broken),
        _intake(facts, last_letter_at),
        _spool(facts, broken, spool_share),
        _publisher(facts, broken),
        _kafka(facts, broken),
    )
    return tuple(found.get(part.name, part) for part in others)


def _place_of(problem: Problem, facts: Facts) -> str:
    if problem.reason == "events_dropped":
        return "receiver" if problem.detail in _DROPS_OF_RECEIVER else "spool"
    if problem.reason == "certificate_ends_soon":
        first = min(facts.certificates, key=lambda certificate: certificate.ends_at)
        return "kafka" if first.role.startswith("kafka_") else "fabric"
    return _PLACES.get(problem.reason, "kafka")


def _health_of(problem: Problem) -> str:
    if problem.reason == "starting":
        return "waiting"
    return "fault" if problem.state in ("degraded", "blocked") else "attention"


def _word_of(problem: Problem) -> str:
    return _WORDS.get(problem.reason, problem.reason.replace("_", " "))


def _fabric(facts: Facts) -> Part:
    if facts.receiver_ready:
        return Part("fabric", "ok", "connected", "")
    return Part("fabric", "waiting", "connecting" if facts.starting else "not heard", "")


def _receiver(broken: Set[str]) -> Part:
    if "fabric" in broken:
        return Part("receiver", "waiting", "waits", "it goes on by itself once the fabric is back")
    return Part("receiver", "ok", "listens", "")


def _intake(facts: Facts, last_letter_at: float | None) -> Part:
    if last_letter_at is not None and facts.now - last_letter_at < _RECENT_LETTER_SECONDS:
        return Part("intake", "attention", "dead letters", "some of what came lately is no valid event")
    return Part("intake", "ok", "accepts", "")


def _spool(facts: Facts, broken: Set[str], share: float) -> Part:
    if share >= _NEARLY_FULL:
        return Part("spool", "attention", "fills", f"{share:.0%} of its room is taken")
    if not facts.spool_events:
        return Part("spool", "ok", "empty", "")
    if "kafka" in broken or "publisher" in broken:
        return Part("spool", "waiting", "keeps events", "until Kafka has them")
    return Part("spool", "ok", "passes on", "")


def _publisher(facts: Facts, broken: Set[str]) -> Part:
    if "kafka" in broken:
        return Part("publisher", "waiting", "waits", "it goes on by itself once Kafka does")
    if facts.role == "standby":
        return Part("publisher", "idle", "stands by", "another member of the group publishes")
    if facts.role == "taking_over":
        return Part("publisher", "waiting", "takes over", "")
    return Part("publisher", "ok", "publishes", "")


def _kafka(facts: Facts, broken: Set[str]) -> Part:
    if facts.publisher_unconnected_seconds > 0.0:
        return Part("kafka", "waiting", "connecting" if "publisher" not in broken else "not asked", "")
    return Part("kafka", "ok", "answers", "")
