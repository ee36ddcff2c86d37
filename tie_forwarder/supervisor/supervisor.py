"""The composition root and the life of the daemon: startup, main loop, shutdown.

Started from downstream to upstream (spool, flow, HTTP, publisher, receiver) and stopped from upstream to downstream, so
that what has been received can still leave. Children are started on the main thread, whose end is theirs.
"""

from __future__ import annotations

import threading
import time

from prometheus_client import CollectorRegistry

from tie_forwarder.config import Config
from tie_forwarder.config.inspection import Inspection
from tie_forwarder.events.message import TOPICS
from tie_forwarder.group.member import Rules
from tie_forwarder.group.window import Window
from tie_forwarder.http.application import Application, Board
from tie_forwarder.http.server import Server
from tie_forwarder.log import Log
from tie_forwarder.settings import publisher_configuration, receiver_configuration
from tie_forwarder.spool import Spool
from tie_forwarder.status.metrics import Metrics
from tie_forwarder.supervisor.accounts import Accounts
from tie_forwarder.supervisor.flow import Flow
from tie_forwarder.supervisor.guard import Guard, PublisherBackoff, Restart
from tie_forwarder.supervisor.observation import Chronicle, Observation
from tie_forwarder.supervisor.peers import Peers, WithheldTopics
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.receiver_guard import ReceiverGuard
from tie_forwarder.supervisor.receiver_watch import Reception
from tie_forwarder.supervisor.reload import Certificates, Change, Filtering, Reload, set_log_level
from tie_forwarder.supervisor.signals import Wishes
from tie_forwarder.supervisor.stall import STALLED_EXIT_CODE, StallWatch, end_at_once
from tie_forwarder.supervisor.systemd import Notifier

_TURN_SECONDS = 0.2
_LATE_CANARY_SECONDS = 2.5
_STALLED_SECONDS = 30
_HURRY_SECONDS = 1.0
_RECEIVER_FLUSH_SECONDS = 3.0
_PUBLISHER_CLOSE_SECONDS = 3.0


class Supervisor:
    """The daemon. `run` is its life; everything here belongs to the main thread."""

    def __init__(self, config: Config, *, found: Inspection, reload: Reload) -> None:
        self._config = config
        self._reload = reload
        self._log = Log()
        topics = config.kafka.topics.by_destination()
        kinds = (*config.dxl.events, "dead_letter")
        self._metrics = Metrics(
            CollectorRegistry(), kinds=config.dxl.events, topics=[topics[destination] for destination in kinds]
        )
        self._spool = Spool(
            directory=config.spool.directory,
            max_bytes=config.spool.max_bytes,
            drop_oldest=config.spool.when_full == "drop_oldest",
        )
        self._accounts = Accounts(metrics=self._metrics, topics=topics)
        self._receiver = Reception(
            canary_timeout_seconds=config.dxl.canary_timeout_seconds,
            misses_after_seconds=config.dxl.canary_interval_seconds + _LATE_CANARY_SECONDS,
            monotonic=time.monotonic,
        )
        self._peers = Peers(directory=config.spool.directory, own=config.group.member)
        grouped = config.kafka.delivery == "exactly_once"
        self._publisher = PublisherWatch(first_role="standby" if grouped else "publishing", monotonic=time.monotonic)
        self._filtering = Filtering(config)
        self._flow = Flow(
            spool=self._spool,
            intake=self._filtering.intake,
            window=Window(seconds=config.group.window_seconds),
            accounts=self._accounts,
            receiver=self._receiver,
            publisher=self._publisher,
            peers=self._peers,
            withheld=WithheldTopics(
                topics=[TOPICS[kind] for kind in config.dxl.events],
                live_seconds=Rules(takeover_after=config.group.takeover_after_seconds).live_seconds,
            ),
            commit_interval_seconds=config.spool.commit_interval_ms / 1000,
        )
        self._flow_thread = threading.Thread(target=self._run_flow, name="flow", daemon=True)
        self._receiver_guard = ReceiverGuard(
            reception=self._receiver,
            attach=self._flow.attach_receiver,
            configuration=lambda: receiver_configuration(self._config),
            on_started=lambda reason: self._metrics.receiver_restarts.labels(reason).inc(),
        )
        self._publisher_guard = Guard(
            name="publisher",
            watch=self._publisher,
            attach=self._flow.attach_publisher,
            configuration=lambda: publisher_configuration(
                self._config,
                resume=self._publisher.resume,
                batch_rows=self._publisher.batch_rows,
                unlisted=self._publisher.unlisted,
                spool=self._spool.identity,
                gap=self._peers.gap,
            ),
            backoff=PublisherBackoff(watch=self._publisher),
            on_started=lambda reason: self._metrics.publisher_restarts.labels(reason).inc(),
            exit_reason=self._why_publisher_ended,
        )
        self._board = Board()
        self._server: Server | None = None
        if config.http.address is not None:
            application = Application(
                board=self._board, registry=self._metrics.registry, allowed_hosts=self._allowed_hosts
            )
            self._server = Server(application=application, address=config.http.address)
        self._certificates = Certificates(monotonic=time.monotonic, first=found, in_use=lambda: self._reload.inputs)
        self._chronicle = Chronicle()
        self._notifier = Notifier()
        self._observation = Observation(
            metrics=self._metrics, spool=self._spool, accounts=self._accounts, flow=self._flow,
            receiver=self._receiver, receiver_guard=self._receiver_guard, publisher=self._publisher,
            publisher_guard=self._publisher_guard, certificates=self._certificates, notifier=self._notifier,
            board=self._board, chronicle=self._chronicle, peers=self._peers,
        )  # fmt: skip
        self._wishes = Wishes()
        self._ticked_at = time.monotonic()
        self._stopping = False
        self._published_before = 0

    @property
    def wishes(self) -> Wishes:
        """Where signals leave what they ask for."""
        return self._wishes

    def run(self) -> int:
        """The daemon's life; returns the exit code. Raises ForwarderError when it cannot start."""
        self._startup()
        self._main_loop()
        return self._shutdown()

    def _startup(self) -> None:
        self._filtering.load(self._config)
        found = self._spool.open()
        if found.set_aside is not None:
            self._metrics.spool_corrupt.inc(found.events_lost)
            self._chronicle.damaged(found)
        self._accounts.on_start(self._spool.events)
        if self._config.kafka.delivery == "exactly_once":
            self._peers.load()
        self._reload.note(self._config, self._certificates.found)
        self._flow_thread.start()
        threading.Thread(target=self._end_when_stalled, name="stall-watch", daemon=True).start()
        self._observe()
        if self._server is not None:
            self._server.start()
        config, http = self._config, self._config.http.listen
        if self._server is not None and config.http.address is not None:
            http = f"{config.http.address.host}:{self._server.port}"
        self._chronicle.started(config, found=self._certificates.found, spool=self._spool, http=http)

    def _main_loop(self) -> None:
        while not self._wishes.stop:
            self._run_once()
            self._wishes.wait(_TURN_SECONDS)

    def _run_once(self) -> None:
        if self._wishes.reload:
            self._wishes.reload = False
            self._take_new_configuration()
        elif (renewal := self._certificates.take_renewal()) is not None:
            self._take_up(self._reload.renewed(self._config, renewal), why="its certificate or secret was renewed")
        self._publisher_guard.tick()
        self._receiver_guard.tick()
        self._encourage()
        self._peers.save()
        self._observe()
        self._ticked_at = time.monotonic()

    def _shutdown(self) -> int:
        self._stopping = True
        self._peers.leave()
        deadline = time.monotonic() + self._config.shutdown.drain_seconds
        self._notifier.stopping(within_seconds=self._config.shutdown.drain_seconds + _STALLED_SECONDS)
        self._log.info("forwarder.stopping", drain_seconds=self._config.shutdown.drain_seconds)
        self._receiver_guard.ask_to_stop()
        self._receiver_guard.finish(_RECEIVER_FLUSH_SECONDS, give_up=self._is_told_to_hurry)
        while (self._spool.events or not self._flow.idle) and time.monotonic() < deadline and not self._wishes.stop_now:
            self._publisher_guard.tick()
            self._observe()
            self._ticked_at = time.monotonic()
            self._wishes.wait(_TURN_SECONDS / 4)
        self._publisher_guard.ask_to_stop()
        self._publisher_guard.finish(_PUBLISHER_CLOSE_SECONDS, give_up=self._is_told_to_hurry)
        self._flow.stop()
        self._flow_thread.join(_HURRY_SECONDS if self._wishes.stop_now else _STALLED_SECONDS)
        if self._flow_thread.is_alive():
            end_at_once(["flow"])
        if self._server is not None:
            self._server.stop()
        self._accounts.on_idle(self._spool.events)
        self._spool.close()
        self._chronicle.stopped(self._accounts.snapshot)
        if self._spool.displaced and self._spool.events:
            self._log.error("spool.gone", events=self._spool.events, detail=self._spool.displaced)
            return STALLED_EXIT_CODE
        return 0

    def _allowed_hosts(self) -> tuple[str, ...]:
        http = self._config.http
        return (*http.allowed_hosts, http.address.host.lower()) if http.address is not None else http.allowed_hosts

    def _is_told_to_hurry(self) -> bool:
        return self._wishes.stop_now

    def _encourage(self) -> None:
        """A child that does its work begins with a short delay again when it fails next."""
        if self._receiver.ready:
            self._receiver_guard.prosper()
        published = self._accounts.snapshot["published"]
        if published != self._published_before or (self._publisher.connected and self._publisher.trouble is None):
            self._published_before = published
            self._publisher_guard.prosper()

    def _observe(self) -> None:
        self._observation.look(self._config, live=self._live(), stopping=self._stopping)

    def _live(self) -> bool:
        return time.monotonic() - self._flow.ticked_at < _STALLED_SECONDS / 3 and self._flow_thread.is_alive()

    def _run_flow(self) -> None:
        try:
            self._flow.run()
        except Exception:  # noqa: BLE001 - the thread's edge: what the disk or a bug does to it, the next start mends
            self._log.exception("flow.failed")
            end_at_once(["flow"])

    def _end_when_stalled(self) -> None:
        """A part of this process that stands still cannot be mended from inside: the service manager takes over."""
        ticks = {"flow": lambda: self._flow.ticked_at, "main": lambda: self._ticked_at}
        end_at_once(StallWatch(ticks=ticks, patience_looks=_STALLED_SECONDS).wait_for_one(look_seconds=1.0))

    def _why_publisher_ended(self) -> Restart | None:
        trouble = self._publisher.trouble
        return None if trouble is None else Restart("error", f"{trouble.code}: {trouble.detail}")

    def _take_new_configuration(self) -> None:
        self._notifier.reloading()
        change = self._reload.again(self._config)
        if change is not None:
            self._config = change.config
            self._filtering.load_again(change.config)
            set_log_level(change.config.log.level, [self._receiver_guard, self._publisher_guard])
            self._take_up(change, why="its configuration has changed")
        self._notifier.ready_again()

    def _take_up(self, change: Change, *, why: str) -> None:
        self._certificates.replace(change.found)
        if change.receiver:
            self._receiver_guard.replace("reload", why)
        if change.publisher:
            self._publisher_guard.replace("reload", why)
