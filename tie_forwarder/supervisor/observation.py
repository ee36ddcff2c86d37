"""The observation: each turn it writes down the state for HTTP, metrics, log and systemd.

Gathers facts from what the parts last reported, builds the `/status` report, sets the gauges, and keeps the journal of
start, hours and end in the log. Asks nothing that could block.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tie_forwarder import __version__
from tie_forwarder.config import Config
from tie_forwarder.config.inspection import Certificate, Inspection
from tie_forwarder.http.application import Board, Notice
from tie_forwarder.log import Log, tell_repeats
from tie_forwarder.spool import Recovery, Spool
from tie_forwarder.status.components import Part, parts_of
from tie_forwarder.status.health import Assessment, Facts, Health
from tie_forwarder.status.metrics import Metrics
from tie_forwarder.status.trends import Growth, Rates, Surge, Waiting
from tie_forwarder.status.wording import timestamp
from tie_forwarder.supervisor.accounts import Accounts, LastLetters
from tie_forwarder.supervisor.flow import Flow
from tie_forwarder.supervisor.guard import Guard
from tie_forwarder.supervisor.peers import Peers
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_guard import ReceiverGuard
from tie_forwarder.supervisor.receiver_watch import Reception
from tie_forwarder.supervisor.reload import Certificates
from tie_forwarder.supervisor.systemd import Notifier, sentence


def facts_of(
    *,
    now: float,
    starting: bool,
    stopping: bool,
    receiver: Reception,
    publisher: PublisherWatch,
    spool: Spool,
    flow: Flow,
    accounts: Accounts,
    certificates: tuple[Certificate, ...],
    surge: Surge,
    waiting: Waiting,
    takeover_after_seconds: float,
) -> Facts:
    """One moment's facts. Asks nothing that could block."""
    fault = receiver.fault
    return Facts(
        now=now,
        starting=starting,
        # That nothing is received any more is what a stop is for.
        receiver_ready=receiver.ready or stopping,
        receiver_fault="" if fault is None else fault.reason,
        receiver_detail=receiver.status.trouble if fault is None else fault.text,
        receiver_not_replaced=receiver.not_replaced,
        only_events_come=receiver.only_events_come,
        publisher_unconnected_seconds=publisher.unconnected_seconds,
        publisher_waiting_seconds=publisher.waiting_seconds,
        publisher_trouble=publisher.trouble,
        spool_events=spool.events,
        spool_oldest_at=waiting.received_at(spool.oldest_received_at_ms, now=now),
        spool_unmoved_seconds=waiting.unmoved_seconds,
        takeover_after_seconds=takeover_after_seconds,
        withheld_topics=flow.withheld.topics,
        disk_error=flow.disk_error,
        last_drop_at=by_wall_clock(accounts.last_drop_at, now=now),
        last_drop_reason=accounts.last_drop_reason,
        ledger_imbalance=accounts.snapshot["imbalance"],
        role=publisher.role.role,
        compacted=publisher.compacted,
        certificates=certificates,
        last_surge_at=by_wall_clock(surge.seen_at, now=now),
        last_surge=surge.text,
        spool_displaced=spool.displaced,
        last_rescue_at=None if flow.rescue is None else by_wall_clock(flow.rescue.at, now=now),
        last_rescue="" if flow.rescue is None else flow.rescue.detail,
    )


def by_wall_clock(moment: float | None, *, now: float) -> float | None:
    """A moment of the monotonic clock in seconds since the epoch, by the wall clock as it is now."""
    return None if moment is None else now - (time.monotonic() - moment)


def export(
    metrics: Metrics,
    *,
    config: Config,
    assessment: Assessment,
    spool: Spool,
    spool_oldest_at: float | None,
    receiver: Reception,
    publisher: PublisherWatch,
    certificates: Iterable[Certificate],
) -> None:
    """Sets every gauge. Asks nothing that could block."""
    metrics.spool_events.set(spool.events)
    metrics.spool_bytes.set(spool.bytes)
    metrics.spool_limit_bytes.set(spool.max_bytes)
    metrics.spool_oldest.set(spool_oldest_at or 0)
    metrics.kafka_connected.set(publisher.connected)
    metrics.dxl_connected.set(receiver.ready)
    metrics.receiver_queue.set(receiver.queue)
    metrics.set_state(assessment.state)
    metrics.state_since.set(assessment.since)
    conditions = {(problem.state, problem.reason) for problem in assessment.problems}
    metrics.set_problems(conditions or {(assessment.state, assessment.reason)})
    metrics.group_info.labels(config.group.name, config.group.member).set(1)
    metrics.set_role(publisher.role.role)
    with suppress(OSError):
        metrics.spool_disk_free.set(_free_bytes(config.spool.directory))
    for certificate in certificates:
        metrics.certificate_expiry.labels(certificate.role).set(certificate.ends_at)


def _free_bytes(directory: Path) -> int:
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


VERSIONS = {
    "tie-forwarder": __version__,
    "python": platform.python_version(),
    **{name: version(name) for name in ("dxlclient", "dxltieclient", "kafka-python")},
}

_DAY = 86_400
_FLOWING_SECONDS = 10.0


def status_report(
    *,
    config: Config,
    assessment: Assessment,
    started_at: float,
    now: float,
    receiver: Reception,
    receiver_guard: ReceiverGuard,
    publisher: PublisherWatch,
    publisher_guard: Guard,
    peers: Peers,
    parts: Sequence[Part],
    spool: Spool,
    spool_oldest_at: float | None,
    growth: Growth,
    ledger: dict[str, int],
    rates: Rates,
    letters: LastLetters,
    certificates: tuple[Certificate, ...],
) -> dict[str, Any]:
    """The report as JSON values. No secret is in it."""
    return {
        "state": assessment.state,
        "reason": assessment.reason,
        "since": timestamp(assessment.since),
        "remedy": assessment.remedy,
        "problems": [problem._asdict() for problem in assessment.problems],
        "parts": [part._asdict() for part in parts],
        "group": group_report(config, publisher, peers),
        "receiver": {
            "pid": receiver_guard.pid,
            "phase": receiver.status.phase,
            "ready": receiver.ready,
            "fabric": config.dxl.fabric,
            "events": list(config.dxl.events),
            "canary_answered_seconds_ago": receiver.status.canary_answered_seconds_ago,
            "queue_events": receiver.queue,
            "last_trouble": receiver.status.trouble if receiver.fault is None else receiver.fault.text,
            "last_restart": _restart(receiver_guard),
            "successor_pid": receiver_guard.successor_pid,
        },
        "spool": {
            "events": spool.events,
            "bytes": spool.bytes,
            "limit_bytes": spool.max_bytes,
            "when_full": config.spool.when_full,
            "oldest_received_at": None if spool_oldest_at is None else timestamp(spool_oldest_at),
            "full_in_seconds": _full_in_seconds(spool, growth, spool_oldest_at, now),
        },
        "publisher": {
            "pid": publisher_guard.pid,
            "connected": publisher.connected,
            "kafka": list(config.kafka.bootstrap_servers),
            "delivery": config.kafka.delivery,
            "waiting_seconds": round(publisher.waiting_seconds, 1),
            "trouble": None if publisher.trouble is None else vars(publisher.trouble),
            "last_restart": _restart(publisher_guard),
        },
        "certificates": [
            {
                "role": certificate.role,
                "file": str(certificate.path),
                "ends": timestamp(certificate.ends_at),
                "days_left": int((certificate.ends_at - now) // _DAY),
            }
            for certificate in certificates
        ],
        "ledger": ledger,
        "rates": rates.report(),
        "dead_letters": {"total": letters.total, "last": letters.report(with_payload=config.http.show_payload_bytes)},
        "now": timestamp(now),
        "started": timestamp(started_at),
        "version": __version__,
        "versions": VERSIONS,
    }


def group_report(config: Config, publisher: PublisherWatch, peers: Peers) -> dict[str, Any]:
    """This member's part in its group."""
    role, published, heard = publisher.role, publisher.members, peers.heard_at
    return {
        "name": config.group.name,
        "member": config.group.member,
        "role": role.role,
        "reason": role.reason,
        "since": timestamp(role.since),
        "takeovers": dict(publisher.takeovers),
        "members": [
            {"name": name, "seen_publishing": _moment(published.get(name)), "heard": _moment(heard.get(name))}
            for name in {config.group.member: None, **heard, **published}
        ],
        "tail": None if publisher.resume is None else publisher.resume["positions"],
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def _full_in_seconds(spool: Spool, growth: Growth, oldest_at: float | None, now: float) -> int | None:
    """When the spool is full; None while what is in it has only just come, since then it flows."""
    if oldest_at is None or now - oldest_at < _FLOWING_SECONDS:
        return None
    seconds = growth.full_in_seconds(spool.max_bytes)
    return None if seconds is None else int(seconds)


def _restart(guard: Guard | ReceiverGuard) -> dict[str, str] | None:
    return None if guard.last_restart is None else vars(guard.last_restart)


_HOUR_SECONDS = 3_600.0


class Chronicle:
    """Writes. Main thread."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._log = Log()
        self._told_at = monotonic()
        self._told: Mapping[str, int] = {}

    def damaged(self, found: Recovery) -> None:
        """The spool was mended when it was opened."""
        self._log.error(
            "spool.damaged", reason=found.reason, set_aside=str(found.set_aside), events_kept=found.events_kept,
            events_unreadable=found.events_lost,
        )  # fmt: skip

    def started(self, config: Config, *, found: Inspection, spool: Spool, http: str | None) -> None:
        """What starts, with what, and in which state."""
        topics = config.kafka.topics.by_destination()
        self._log.info(
            "forwarder.started", version=__version__, versions=VERSIONS, config=str(config.file),
            fabric=config.dxl.fabric, brokers=list(found.brokers), events=list(config.dxl.events),
            kafka=list(config.kafka.bootstrap_servers),
            topics=[topics[kind] for kind in (*config.dxl.events, "dead_letter")], delivery=config.kafka.delivery,
            group=config.group.name, member=config.group.member, spool=str(config.spool.directory),
            in_spool=spool.events, spool_bytes=spool.bytes, http=http,
            certificates={each.role: _day(each.ends_at) for each in found.certificates},
        )  # fmt: skip

    def look(self, totals: Mapping[str, int], *, state: str) -> None:
        """To be called now and then: each hour a line of totals, what the hour brought, and the state."""
        tell_repeats()
        if self._monotonic() - self._told_at < _HOUR_SECONDS:
            return
        self._told_at = self._monotonic()
        before, self._told = self._told, dict(totals)
        hour: dict[str, Any] = {
            f"{name}_in_the_hour": totals[name] - before.get(name, 0) for name in ("received", "published", "dropped")
        }
        self._log.info("forwarder.totals", state=state, **totals, **hour)

    def stopped(self, ledger: Mapping[str, int]) -> None:
        """The end, with the ledger."""
        tell_repeats(at_the_end=True)
        self._log.info("forwarder.stopped", **ledger)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%d}"


_STARTING_SECONDS = 15.0
_LONGEST_TURN_SECONDS = 5.0
"""A process that was stopped, or a machine that slept, has received nothing meanwhile."""


class Observation:
    """Looks at the parts. Main thread."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        spool: Spool,
        accounts: Accounts,
        flow: Flow,
        receiver: Reception,
        receiver_guard: ReceiverGuard,
        publisher: PublisherWatch,
        publisher_guard: Guard,
        certificates: Certificates,
        notifier: Notifier,
        board: Board,
        chronicle: Chronicle,
        peers: Peers,
    ) -> None:
        self._metrics = metrics
        self._spool = spool
        self._accounts = accounts
        self._flow = flow
        self._receiver = receiver
        self._receiver_guard = receiver_guard
        self._publisher = publisher
        self._publisher_guard = publisher_guard
        self._certificates = certificates
        self._notifier = notifier
        self._board = board
        self._chronicle = chronicle
        self._peers = peers
        self._log = Log()
        self._started_at = time.time()
        self._health = Health(now=time.time)
        self._rates = Rates()
        self._growth = Growth()
        self._waiting = Waiting()
        self._surge = Surge()
        self._looked_at = self._began_at = time.monotonic()
        self._was_ready = self._was_ever_ready = False

    def look(self, config: Config, *, live: bool, stopping: bool) -> None:
        """Writes down how things are. `live` is whether every loop makes progress."""
        now = time.time()
        certificates = self._certificates.current(config)
        letters = self._accounts.letters
        ledger = self._accounts.snapshot
        self._surge.look(received=ledger["received"], published=ledger["published"], dead=letters.total)
        self._waiting.look(oldest=self._spool.first_position, newest=self._spool.last_position)
        self._flow.withheld.look(ready=self._receiver.ready)
        facts = self._facts(config, now, stopping, certificates)
        assessment = self._assess(facts)
        # By the same facts, so that there is a reason whenever it is not ready.
        receiving = facts.receiver_ready and not facts.withheld_topics
        ready = receiving and not facts.disk_error and not facts.spool_displaced and not stopping
        self._count_receiving()
        totals = {**self._accounts.snapshot, "dead_lettered": letters.total}
        self._rates.look(totals)
        self._growth.look(self._spool.bytes)
        status = status_report(
            config=config, assessment=assessment, started_at=self._started_at, now=now,
            parts=parts_of(
                facts, assessment.problems, last_letter_at=by_wall_clock(letters.noted_at, now=now),
                spool_share=self._spool.bytes / self._spool.max_bytes,
            ),
            receiver=self._receiver, receiver_guard=self._receiver_guard, publisher=self._publisher,
            publisher_guard=self._publisher_guard, peers=self._peers, spool=self._spool,
            spool_oldest_at=facts.spool_oldest_at, growth=self._growth,
            ledger=self._accounts.snapshot, rates=self._rates, letters=letters, certificates=certificates,
        )  # fmt: skip
        why = "" if ready else "it is stopping" if stopping else _first_detail(assessment)
        self._board.post(Notice(live=live, ready=ready, why_not_ready=why, status=status))
        export(
            self._metrics, config=config, assessment=assessment, spool=self._spool,
            spool_oldest_at=facts.spool_oldest_at, receiver=self._receiver, publisher=self._publisher,
            certificates=certificates,
        )  # fmt: skip
        self._notifier.tell(sentence(assessment), ready=ready, live=live)
        if ready != self._was_ready:
            self._was_ready = ready
            self._was_ever_ready = self._was_ever_ready or ready
            self._log.info("forwarder.ready" if ready else "forwarder.not_ready", why=why)
        self._chronicle.look(totals, state=assessment.state)

    def _count_receiving(self) -> None:
        before, self._looked_at = self._looked_at, time.monotonic()
        if self._receiver.ready:
            self._metrics.receiving.inc(min(self._looked_at - before, _LONGEST_TURN_SECONDS))

    def _facts(self, config: Config, now: float, stopping: bool, certificates: tuple[Certificate, ...]) -> Facts:
        return facts_of(
            now=now, starting=not self._was_ever_ready and self._is_young(),
            stopping=stopping, receiver=self._receiver, publisher=self._publisher, spool=self._spool,
            flow=self._flow, accounts=self._accounts, certificates=certificates, surge=self._surge,
            waiting=self._waiting, takeover_after_seconds=config.group.takeover_after_seconds,
        )  # fmt: skip

    def _is_young(self) -> bool:
        """Whether a receiver that has never received may still be about to: nobody knows yet what is wrong."""
        return time.monotonic() - self._began_at < _STARTING_SECONDS or self._receiver.fault is None

    def _assess(self, facts: Facts) -> Assessment:
        before = self._health.state
        assessment = self._health.assess(facts)
        if (assessment.state, assessment.reason) != before:
            level = self._log.info if assessment.state in ("ok", "standby") else self._log.warning
            level(
                "state.changed", state=assessment.state, reason=assessment.reason, detail=_first_detail(assessment),
                remedy=assessment.remedy,
            )  # fmt: skip
        return assessment


def _first_detail(assessment: Assessment) -> str:
    return assessment.problems[0].detail if assessment.problems else ""
