"""The observation: each turn it writes down how things are, for HTTP, the metrics, the log and the service manager.

Owns: the assessment, the rates, and what was told last. Must not: ask anything that could block.
"""

from __future__ import annotations

import time

from tie_forwarder.config import Config
from tie_forwarder.config.inspection import Certificate
from tie_forwarder.health import Assessment, Facts, Health
from tie_forwarder.http.board import Board, Notice
from tie_forwarder.log import Log
from tie_forwarder.metrics import Metrics
from tie_forwarder.parts import parts_of
from tie_forwarder.spool import Spool
from tie_forwarder.supervisor.accounts import Accounts
from tie_forwarder.supervisor.certificates import Certificates
from tie_forwarder.supervisor.chronicle import Chronicle
from tie_forwarder.supervisor.facts import by_wall_clock, facts_of
from tie_forwarder.supervisor.flow import Flow
from tie_forwarder.supervisor.gauges import export
from tie_forwarder.supervisor.growth import Growth, Waiting
from tie_forwarder.supervisor.guard import Guard
from tie_forwarder.supervisor.notify import Notifier, sentence
from tie_forwarder.supervisor.peers import Peers
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.rates import Rates
from tie_forwarder.supervisor.receiver_guard import ReceiverGuard
from tie_forwarder.supervisor.receiver_watch import Reception
from tie_forwarder.supervisor.report import status_report
from tie_forwarder.supervisor.surge import Surge

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
