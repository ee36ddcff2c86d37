"""Numbers, sizes, times, states and roles in words, for page, terminal and log. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tie_forwarder.status.conditions import CONDITIONS

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_SOON_DAYS = 7
_LATER_DAYS = 30

PART_NAMES = {
    "fabric": "DXL fabric",
    "receiver": "Receiver",
    "intake": "Intake",
    "spool": "Spool",
    "publisher": "Publisher",
    "kafka": "Kafka",
}
CERTIFICATE_NAMES = {
    "dxl_client": "DXL, this client",
    "dxl_brokers": "DXL, the brokers' authority",
    "kafka_client": "Kafka, this client",
    "kafka_brokers": "Kafka, the brokers' authority",
}
COUNT_NAMES = {
    "received": "received",
    "published": "published",
    "settled": "found in Kafka",
    "filtered": "filtered",
    "dead_lettered": "dead letters",
    "dropped": "dropped",
}
ROLE_NAMES = {"standby": "stands by", "taking_over": "takes over", "publishing": "publishes"}

_TITLES = {"ok": "OK"}
_MISSED = "What is published meanwhile is lost, unless another member receives it."
_CONSEQUENCES = {
    "buffering": "Events wait in the spool; none is lost, and it goes on by itself.",
    "blocked": "Events wait in the spool until somebody mends the cause; then it goes on by itself.",
    "fabric_unreachable": _MISSED,
    "certificate_expired": _MISSED,
    "deaf": _MISSED,
    "subscription_refused": _MISSED,
    "stalled": "What stands below is how it was.",
}
"""What follows, by the reason or else by the state."""
_OF_STATUS = {
    "not_answering": "A forwarder runs here, but gives no answer.",
    "not_running": "No forwarder runs here. What is published on the fabric now is not received.",
}
"""What only `tie-forwarder status` finds out."""
_TONES = {"ok": "ok", "standby": "idle", "buffering": "attention", "blocked": "fault", "degraded": "fault"}


def title(state: str, reason: str) -> str:
    """The state as a heading; a start is called by its name."""
    name = "starting" if reason == "starting" else state
    return _TITLES.get(name, name.replace("_", " ").capitalize())


def meaning(state: str, reason: str) -> str:
    """What it means, in a sentence or two: the reason, and what follows from it."""
    if state in _OF_STATUS:
        return _OF_STATUS[state]
    conditions = CONDITIONS.get(state, {})
    # What is wrong while all works is told apart from the state.
    means = conditions.get(state) or conditions.get(reason, "")
    return " ".join(filter(None, (means, _CONSEQUENCES.get(reason) or _CONSEQUENCES.get(state))))


def tone(state: str, reason: str) -> str:
    """The state as the health of a part."""
    return "waiting" if reason == "starting" else _TONES.get(state, "fault")


def number(value: float) -> str:
    """With separators: 12,345; a fraction below ten with one digit."""
    if isinstance(value, int) or value >= 10 or value == int(value):
        return f"{round(value):,}"
    return f"{value:.1f}"


def rate(count: float, seconds: float) -> tuple[str, str]:
    """How many in what: per second, or per minute or hour where it is less than one."""
    if not count or seconds <= 0:
        return "0", "/s"
    each_second = count / seconds
    if each_second >= 1:
        return number(each_second), "/s"
    if each_second * _MINUTE >= 1:
        return number(each_second * _MINUTE), "/min"
    return number(each_second * _HOUR), "/h"


def size(value: int) -> str:
    """Bytes with a unit: 1.5 GiB."""
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{number(round(amount, 1) if unit else int(amount))} {_UNITS[unit]}"


def span(seconds: float) -> str:
    """A length of time by its two largest units: 2 h 5 min."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min" + (f" {whole % _MINUTE} s" if whole < 10 * _MINUTE else "")
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{number(whole // _DAY)} d {whole % _DAY // _HOUR} h"


def seconds_between(earlier: str | None, later: str) -> float | None:
    """Between two times of /status; None where one is missing or none."""
    if earlier is None:
        return None
    try:
        return (_time(later) - _time(earlier)).total_seconds()
    except ValueError:
        return None


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond; the form of every time in /status."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(moment: str) -> str:
    """A time of /status for people: 2026-11-24 03:12:44 UTC."""
    try:
        return _time(moment).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return moment


def days_left(days: int) -> tuple[str, str]:
    """How long a certificate is still valid, in words and as the health of a part."""
    if days < 0:
        return "expired", "fault"
    words = "ends today" if days == 0 else f"{number(days)} day{'' if days == 1 else 's'}"
    return words, "fault" if days < _SOON_DAYS else "attention" if days < _LATER_DAYS else "ok"


def problems_beside_the_first(status: dict[str, Any]) -> list[dict[str, Any]]:
    """What is wrong besides that which gave the state its name."""
    problems: list[dict[str, Any]] = status["problems"]
    return problems[1:] if problems and problems[0]["reason"] == status["reason"] else problems


def _time(moment: str) -> datetime:
    return datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


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
