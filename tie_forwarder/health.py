"""How the forwarder is, in one word with reason and remedy. Pure: facts in, an assessment out.

The facts are what the parts last reported; nothing here asks dxlclient, Kafka or the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tie_forwarder.supervisor.publisher_watch import Compacted, Trouble

_RECENT_DROP_SECONDS = 60.0
_BEHIND_SECONDS = 30.0
_WAITING_SECONDS = 3.0
_CONNECTING_SECONDS = 10.0


class Problem(NamedTuple):
    """One thing that is not as it should be."""

    state: str
    reason: str
    """A code of a closed set; the runbook has a section for each."""
    detail: str
    remedy: str


@dataclass(frozen=True)
class Facts:
    """What is known at one moment. Times are seconds since the epoch."""

    now: float
    starting: bool
    receiver_ready: bool
    receiver_phase: str
    receiver_trouble: str
    subscription_refused: str
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
    compacted: Compacted | None = None


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
    if facts.receiver_ready:
        return []
    if facts.subscription_refused:
        remedy = "allow this client to receive the topic, in the fabric's topic authorization"
        return [Problem("degraded", "subscription_refused", facts.subscription_refused, remedy)]
    if facts.starting:
        detail = facts.receiver_trouble or "not yet subscribed"
        return [Problem("degraded", "starting", detail, "wait; if it lasts, see whether the broker runs")]
    if facts.receiver_phase == "receiving":
        return [Problem("degraded", "deaf", facts.receiver_trouble, "none: the receiver is being replaced")]
    remedy = "see whether the DXL broker runs, can be reached and accepts this client's certificate"
    return [Problem("degraded", "fabric_unreachable", facts.receiver_trouble, remedy)]


def _keeping(facts: Facts) -> list[Problem]:
    found = []
    if facts.disk_error:
        remedy = "make room on the disk of spool.directory, or mend it"
        found.append(Problem("degraded", "spool_not_writable", facts.disk_error, remedy))
    if facts.last_drop_at is not None and facts.now - facts.last_drop_at < _RECENT_DROP_SECONDS:
        reason = facts.last_drop_reason
        found.append(Problem("degraded", "events_dropped", reason, _DROP_REMEDIES.get(reason, "")))
    if facts.ledger_imbalance:
        detail = f"the ledger is out by {facts.ledger_imbalance}"
        found.append(Problem("degraded", "ledger_imbalance", detail, "report this as a bug, with the log"))
    return found


def _publishing(facts: Facts) -> list[Problem]:
    trouble = facts.publisher_trouble
    if trouble is not None and trouble.error_class == "blocked":
        return [Problem("blocked", trouble.code, trouble.detail, trouble.remedy)]
    if trouble is not None and trouble.error_class != "fenced":  # that is no trouble, but how a member stands by
        return [Problem("buffering", trouble.code, trouble.detail, trouble.remedy)]
    if facts.publisher_waiting_seconds > _WAITING_SECONDS:
        return [Problem("buffering", "kafka_slow", f"no answer for {facts.publisher_waiting_seconds:.0f} s", "")]
    behind = facts.spool_oldest_at is not None and facts.now - facts.spool_oldest_at > _BEHIND_SECONDS
    if behind and facts.role != "standby":
        return [Problem("buffering", "behind", f"{facts.spool_events} events wait in the spool", "")]
    if facts.publisher_unconnected_seconds > _CONNECTING_SECONDS:
        return [Problem("buffering", "connecting", "no connection to Kafka yet", "see whether the brokers run")]
    return []


def _promising(facts: Facts) -> list[Problem]:
    """What undermines the promise while all works: shown, and no other state."""
    if facts.compacted is None:
        return []
    detail = f"compacted, so that events in it are forgotten: {', '.join(facts.compacted.topics)}"
    return [Problem(_well(facts).state, "output_compacted", detail, facts.compacted.remedy)]
