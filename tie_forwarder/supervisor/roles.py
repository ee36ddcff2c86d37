"""The roles of a member in plain words, for the log."""

from __future__ import annotations

_WORDS = {
    "standby": "stands by: reads what others publish, and keeps its own events until they stand in Kafka",
    "publishing": "publishes",
}
_REASONS = {
    "started": "it has just started, and nobody else was seen to publish last",
    "resumed": "it had published until an error, and nobody else has published since",
    "silent": "its events wait, and nobody publishes",
    "passed_by": "the publishing member has passed by an event that only this one has",
    "vacant": "its events wait, and the publishing member has left",
    "renewed": "it goes on with a new producer after a record that Kafka refused",
}


def describe(role: str, reason: str | None) -> str:
    """One line for a change of role."""
    return _WORDS.get(role) or f"takes over: {_REASONS.get(reason or '', reason)}"
