"""How the forwarder is, in one word with reason and remedy. Pure: facts in, an assessment out.

The facts are what the parts last reported; nothing here asks dxlclient, Kafka or the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tie_forwarder.config.inspection import Certificate
from tie_forwarder.status.conditions import CONDITIONS, UNKNOWN

_RECENT_DROP_SECONDS = 60.0
_RECENT_RESCUE_SECONDS = 300.0
_BEHIND_SECONDS = 30.0
_UNMOVED_TAKEOVERS = 6
"""Twice as long as a standby waits before it takes over from a member that has passed by one of its events."""
_WAITING_SECONDS = 3.0
_CONNECTING_SECONDS = 10.0
_SURGE_SECONDS = 60.0
_ENDS_SOON_SECONDS = 7 * 86_400.0
_OF_THE_FABRIC = ("dxl_client", "dxl_brokers")


class Problem(NamedTuple):
    """One thing that is not as it should be."""

    state: str
    reason: str
    """A code of the closed set `conditions.CONDITIONS`; the runbook has a section for each."""
    detail: str
    remedy: str


@dataclass(frozen=True)
class Trouble:
    """Why nothing is published, as the publisher found out."""

    error_class: str
    code: str
    detail: str
    remedy: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> Trouble:
        """From a verdict in a frame."""
        return cls(body["class"], body["code"], body["detail"], body["remedy"])


@dataclass(frozen=True)
class Compacted:
    """Output topics that are compacted, and what to do about it."""

    topics: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Facts:
    """What is known at one moment. Times are seconds since the epoch."""

    now: float
    starting: bool
    receiver_ready: bool
    receiver_fault: str
    """The reason why nothing can be received, a code of `degraded`; empty while it is not known."""
    receiver_detail: str
    publisher_unconnected_seconds: float
    publisher_waiting_seconds: float
    publisher_trouble: Trouble | None
    spool_events: int
    spool_oldest_at: float | None
    disk_error: str
    last_drop_at: float | None
    last_drop_reason: str
    ledger_imbalance: int
    role: str
    spool_unmoved_seconds: float = 0.0
    """For how long the same row has been the oldest of the spool."""
    takeover_after_seconds: float = 10.0
    withheld_topics: tuple[str, ...] = ()
    """DXL topics on which other members receive events and this one does not."""
    compacted: Compacted | None = None
    certificates: tuple[Certificate, ...] = ()
    last_surge_at: float | None = None
    """When many of the events that came were dead letters."""
    last_surge: str = ""
    spool_displaced: str = ""
    """The spool's file was deleted or replaced, and no copy could be put in its place."""
    last_rescue_at: float | None = None
    """When a copy was last put there."""
    last_rescue: str = ""
    receiver_not_replaced: str = ""
    """Why a receiver that receives could not be replaced as it should have been."""
    only_events_come: bool = False
    """Whether events come from the fabric and the canary does not."""


class Assessment(NamedTuple):
    """The state, since when, and everything that is wrong, the worst first."""

    state: str
    reason: str
    since: float
    remedy: str
    problems: tuple[Problem, ...]


_SEVERITY = ("degraded", "blocked", "buffering", "standby", "ok")
_DROP_REMEDIES = {
    "spool_full": "mend Kafka, or raise spool.max_bytes",
    "disk_full": "make room on the disk of spool.directory",
    "receiver_queue_full": "find out why the main process is slow: its disk as a rule",
    "receiver_lost": "none: the receiver ended with messages in its hands",
    "refused": "look into set-aside.ndjson in the spool's directory",
    "corrupt": "look into set-aside.ndjson in the spool's directory, and test the disk",
}

_DISPLACED_REMEDY = (
    "make spool.directory writable again, with room for a copy, before you stop or restart the forwarder"
)
_RESCUED_REMEDY = "find out what deletes or replaces files in spool.directory, and stop it"
_CANARY_REMEDY = "allow this client to send to and receive from /tie-forwarder/canary/#, in the topic authorization"
_DEAF_REMEDY = (
    "wait, the receiver is being replaced; if it lasts and no event comes either, restart the DXL broker, which then "
    f"delivers nothing; if events keep coming, only the canary is blocked: {_CANARY_REMEDY}"
)
_NOT_REPLACED_REMEDY = (
    "check dxlclient.config, its certificate and key, and the broker's log; the old connection keeps the old ones"
)
_SLOW_REMEDY = "wait; if it lasts, look at the load and the log of the brokers"
_BEHIND_REMEDY = "wait while the number falls; if it does not, look at the load of this machine and of the brokers"
_STANDBY_BEHIND_REMEDY = (
    "check on the other members that one of them publishes and keeps up, and that the clocks of all members agree"
)
_WITHHELD_REMEDY = (
    "allow this client to receive the topics in the fabric's topic authorization, and check that all members are on "
    "the same fabric"
)
_VAGUE_REMEDY = "wait; if it lasts, look at the log of the brokers and of the forwarder"


class Health:
    """Assesses, and remembers since when the state has been what it is. One thread."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._state = "degraded"
        self._reason = "starting"
        self._since = now()

    @property
    def state(self) -> tuple[str, str]:
        """State and reason as last assessed."""
        return self._state, self._reason

    def assess(self, facts: Facts) -> Assessment:
        """The state that the facts make."""
        problems = sorted(_problems(facts), key=lambda problem: _SEVERITY.index(problem.state))
        worst = problems[0] if problems else _well(facts)
        if (worst.state, worst.reason) != (self._state, self._reason):
            self._state, self._reason, self._since = worst.state, worst.reason, facts.now
        return Assessment(worst.state, worst.reason, self._since, worst.remedy, tuple(problems))


def _well(facts: Facts) -> Problem:
    state = "standby" if facts.role == "standby" else "ok"
    return Problem(state, state, "", "")


def _problems(facts: Facts) -> list[Problem]:
    return [*_receiving(facts), *_keeping(facts), *_publishing(facts), *_promising(facts)]


def _receiving(facts: Facts) -> list[Problem]:
    if facts.receiver_ready and facts.withheld_topics:
        detail = f"other members publish events that do not arrive here: {', '.join(facts.withheld_topics)}"
        return [Problem("degraded", "events_withheld", detail, _WITHHELD_REMEDY)]
    if facts.receiver_ready:
        return []
    if facts.receiver_fault == "subscription_refused":
        remedy = "allow this client to receive the topic, in the fabric's topic authorization"
        return [Problem("degraded", "subscription_refused", facts.receiver_detail, remedy)]
    ended = _ended(facts)
    if ended is not None:
        detail = f"the certificate {ended.path} ({ended.role}) ended at {_date(ended)}"
        remedy = "renew the certificate and put it in the place of the old one"
        return [Problem("degraded", "certificate_expired", detail, remedy)]
    if facts.starting:
        detail = facts.receiver_detail or "not yet subscribed"
        return [Problem("degraded", "starting", detail, "wait; if it lasts, see whether the broker runs")]
    if facts.receiver_fault == "deaf" and facts.only_events_come:
        detail = f"{facts.receiver_detail}; events have come, so its topic is blocked"
        return [Problem("degraded", "deaf", detail, _CANARY_REMEDY)]
    if facts.receiver_fault == "deaf":
        return [Problem("degraded", "deaf", facts.receiver_detail, _DEAF_REMEDY)]
    remedy = "see whether the DXL broker runs, can be reached and accepts this client's certificate"
    detail = facts.receiver_detail or "not connected yet"
    return [Problem("degraded", "fabric_unreachable", detail, remedy)]


def _ended(facts: Facts) -> Certificate | None:
    """The certificate for the fabric that has ended. A broker refuses it, often with no more words than a silence."""
    for certificate in facts.certificates:
        if certificate.role in _OF_THE_FABRIC and certificate.ends_at < facts.now:
            return certificate
    return None


def _date(certificate: Certificate) -> str:
    return datetime.fromtimestamp(certificate.ends_at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _keeping(facts: Facts) -> list[Problem]:
    found = []
    if facts.disk_error:
        remedy = "make room on the disk of spool.directory, or mend it"
        found.append(Problem("degraded", "spool_not_writable", facts.disk_error, remedy))
    rescued = facts.last_rescue_at is not None and facts.now - facts.last_rescue_at < _RECENT_RESCUE_SECONDS
    if facts.spool_displaced:
        found.append(Problem("degraded", "spool_displaced", facts.spool_displaced, _DISPLACED_REMEDY))
    elif rescued:
        found.append(Problem("degraded", "spool_displaced", facts.last_rescue, _RESCUED_REMEDY))
    if facts.last_drop_at is not None and facts.now - facts.last_drop_at < _RECENT_DROP_SECONDS:
        reason = facts.last_drop_reason
        found.append(Problem("degraded", "events_dropped", reason, _DROP_REMEDIES.get(reason, "")))
    if facts.last_surge_at is not None and facts.now - facts.last_surge_at < _SURGE_SECONDS:
        remedy = "look at them with `tie-forwarder dead-letters`, and find out what on the fabric sends them"
        found.append(Problem("degraded", "dead_letters", facts.last_surge, remedy))
    if facts.ledger_imbalance:
        detail = f"the ledger is out by {facts.ledger_imbalance}"
        found.append(Problem("degraded", "ledger_imbalance", detail, "report this as a bug, with the log"))
    return found


def _publishing(facts: Facts) -> list[Problem]:
    trouble = facts.publisher_trouble
    if trouble is not None and trouble.error_class == "blocked":
        return [_troubled("blocked", trouble)]
    if trouble is not None and trouble.error_class != "fenced":  # that is no trouble, but how a member stands by
        return [_troubled("buffering", trouble)]
    if facts.publisher_waiting_seconds > _WAITING_SECONDS:
        detail = f"no answer for {facts.publisher_waiting_seconds:.0f} s"
        return [Problem("buffering", "kafka_slow", detail, _SLOW_REMEDY)]
    if _is_behind(facts):
        remedy = _STANDBY_BEHIND_REMEDY if facts.role == "standby" else _BEHIND_REMEDY
        return [Problem("buffering", "behind", f"{facts.spool_events} events wait in the spool", remedy)]
    if facts.publisher_unconnected_seconds > _CONNECTING_SECONDS:
        return [Problem("buffering", "connecting", "no connection to Kafka yet", "see whether the brokers run")]
    return []


def _is_behind(facts: Facts) -> bool:
    if facts.role == "standby":
        # It is normal for its events to wait while another member works off a backlog, but not for one of them to stay.
        return facts.spool_unmoved_seconds > max(_BEHIND_SECONDS, _UNMOVED_TAKEOVERS * facts.takeover_after_seconds)
    return facts.spool_oldest_at is not None and facts.now - facts.spool_oldest_at > _BEHIND_SECONDS


def _troubled(state: str, trouble: Trouble) -> Problem:
    """The publisher's own word for it, where it is one of the set; else `unknown`, with the word in the detail."""
    if trouble.code in CONDITIONS[state]:
        return Problem(state, trouble.code, trouble.detail, trouble.remedy or _VAGUE_REMEDY)
    detail = f"{trouble.code}: {trouble.detail}"
    return Problem("buffering", UNKNOWN, detail, trouble.remedy or _VAGUE_REMEDY)


def _promising(facts: Facts) -> list[Problem]:
    """What undermines the promise while all works: shown, and no other state."""
    found = []
    state = _well(facts).state
    if facts.compacted is not None:
        detail = f"compacted, so that events in it are forgotten: {', '.join(facts.compacted.topics)}"
        found.append(Problem(state, "output_compacted", detail, facts.compacted.remedy))
    if facts.receiver_ready and facts.receiver_not_replaced:
        detail = facts.receiver_not_replaced
        found.append(Problem(state, "receiver_not_replaced", detail, _NOT_REPLACED_REMEDY))
    ending = [certificate for certificate in facts.certificates if certificate.ends_at - facts.now < _ENDS_SOON_SECONDS]
    if ending:
        first = min(ending, key=lambda certificate: certificate.ends_at)
        detail = f"the certificate {first.path} ({first.role}) ends at {_date(first)}"
        found.append(Problem(state, "certificate_ends_soon", detail, "renew it and put it in the place of the old one"))
    return found
