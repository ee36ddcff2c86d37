"""The receiver process: startup, the loop that delivers and reports, the hand-over to a successor, and the end.

One thread, main, writes everything: messages as they come, a status each second. So the status proves that messages are
delivered, too. `control` listens to the parent; dxlclient's own threads run the callback. The process ends by
`os._exit`, since dxlclient's `destroy` may block for minutes.

A process that replaces a running one starts as its successor: it keeps what it receives. Once it is subscribed, the
parent asks the old process to hand over, which goes on receiving until everything that was published before has come,
and exits. Only then the successor delivers. So nothing is lost and the order stays, although many events come twice.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

from tie_forwarder.events.message import Message
from tie_forwarder.processes.frames import Kind, encode_messages
from tie_forwarder.processes.link import ParentLink
from tie_forwarder.processes.log import log, log_exception
from tie_forwarder.receiver.canary import TOPIC_PREFIX
from tie_forwarder.receiver.presence import Presence
from tie_forwarder.receiver.queue import MessageQueue
from tie_forwarder.receiver.session import Session, broker_addresses, use_second_client_id, wait_for_a_broker
from tie_forwarder.receiver.speedups import install_compiled_unpacker, install_message_ids

_STATUS_SECONDS = 1.0
_TURN_SECONDS = 0.2
_BATCH_MESSAGES = 500
BATCH_BYTES = 1024 * 1024
QUEUE_BYTES = 64 * 1024 * 1024
_FLUSH_SECONDS = 2.0
_GATHER_SECONDS = 0.005
_OVERLAP_SECONDS = 2.0
"""How long both processes receive at least: an event may reach the brokers of a fabric at different times."""
_QUIET_SECONDS = 3.0
_QUIET_WITH_CANARY_SECONDS = 10.0
"""Once a canary has come back, silence may be a broker that hangs, with events queued for this connection. Together
with the canary's time-out it must stay below 30 s, within which a dead subscription is repaired."""
_LONGEST_HAND_OVER_SECONDS = 60.0


class Phase(StrEnum):
    """How far the receiver is; the supervisor's patience depends on it."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    RECEIVING = "receiving"


class HandOver:
    """From the parent's request until this process may exit. Main thread."""

    def __init__(self) -> None:
        self._since = self._moved_at = time.monotonic()
        self._received = 0

    def is_done(self, *, received: int, answers_for: float | None) -> bool:
        """Whether all that was published before the request has come, or will not come any more.

        `answers_for` is when the youngest canary that has come back was sent.
        """
        now = time.monotonic()
        if received != self._received:
            self._received, self._moved_at = received, now
        if now - self._since < _OVERLAP_SECONDS:
            return False
        if answers_for is not None and answers_for >= self._since:
            return True
        quiet = _QUIET_SECONDS if answers_for is None else _QUIET_WITH_CANARY_SECONDS
        return now - self._moved_at > quiet or now - self._since > _LONGEST_HAND_OVER_SECONDS


class ReceiverProcess:
    """Everything of one receiver process."""

    def __init__(self, *, link: ParentLink, config: dict[str, Any]) -> None:
        self._link = link
        self._config_file = Path(config["config_file"])
        self._canary_interval = float(config["canary_interval_seconds"])
        self._queue = MessageQueue(most_messages=config["queue_events"], most_bytes=QUEUE_BYTES)
        self._stop = threading.Event()
        self._news = threading.Event()
        self._holding = bool(config["successor"])
        self._hand_over: HandOver | None = None
        self._phase = Phase.WAITING
        self._trouble = ""
        self._lost = ""
        self._closing = False
        self._sent_at = self._next_status = self._next_canary = 0.0
        group, member = config["group"], config["member"]
        self._presence = None if group is None else Presence(group=group, member=member)
        self._session = Session(
            config_file=self._config_file,
            kinds=config["events"],
            keep_alive_seconds=config["keep_alive_seconds"],
            take=self._take_when_there_is_room if self._holding else self._queue.put,
            on_lost=self._on_lost,
            on_canary=self._on_canary,
            prepare=use_second_client_id if config["second_client_id"] else lambda _config: None,
            presence=self._presence,
        )

    def run(self) -> None:
        """Runs until the parent says stop or the connection is lost; then hands over what it holds and returns."""
        install_compiled_unpacker()
        install_message_ids()
        self._link.listen(self._on_control)
        threading.Thread(target=self._connect, name="connect", daemon=True).start()
        while not self._stop.is_set():
            self._run_once()
        self._finish()

    def _run_once(self) -> None:
        self._deliver()
        if self._phase is Phase.RECEIVING and time.monotonic() >= self._next_canary:
            self._next_canary = time.monotonic() + self._canary_interval
            self._fly_canary()
        if self._news.is_set() or time.monotonic() >= self._next_status:
            self._report()
        hand_over, canary = self._hand_over, self._session.canary
        if hand_over is not None and hand_over.is_done(received=self._queue.received, answers_for=canary.answers_for):
            self._stop.set()

    def _connect(self) -> None:
        try:
            addresses = broker_addresses(self._config_file)
            if not wait_for_a_broker(addresses, stop=self._stop, on_refused=self._note):
                return
            self._phase = Phase.CONNECTING
            self._session.connect()
        except Exception as error:  # noqa: BLE001 - dxlclient raises anything; the next process tries again
            self._on_lost(f"connecting failed: {self._session.last_error.text or error}")
            return
        self._phase = Phase.RECEIVING
        self._trouble = ""
        self._wake()
        log(logging.INFO, "receiver.connected", topics=self._session.topics)

    def _take_when_there_is_room(self, message: Message) -> None:
        """A successor that is full leaves the rest to the broker until it may deliver; dxlclient waits for that."""
        while self._holding and not self._stop.is_set() and not self._queue.has_room_for(message):
            time.sleep(_GATHER_SECONDS)
        self._queue.put(message)

    def _deliver(self) -> None:
        """Sends what has come, or waits a moment for it. Blocks while the parent does not read."""
        if self._holding:
            self._news.wait(_TURN_SECONDS)
            return
        # A lone message goes at once; in a stream a few are gathered, which saves the parent a turn for each.
        time.sleep(max(0.0, min(_GATHER_SECONDS, self._sent_at + _GATHER_SECONDS - time.monotonic())))
        batch = self._queue.take(most_messages=_BATCH_MESSAGES, most_bytes=BATCH_BYTES, timeout_seconds=_TURN_SECONDS)
        if batch:
            self._link.send(encode_messages(batch))
            self._sent_at = time.monotonic()

    def _finish(self) -> None:
        """Delivers what is there, and counts nothing that comes now: a successor has it, or nobody is subscribed."""
        self._queue.close()
        self._closing = True
        self._report()
        patience = _LONGEST_HAND_OVER_SECONDS if self._hand_over is not None or self._holding else _FLUSH_SECONDS
        deadline = time.monotonic() + patience
        while self._queue.depth and time.monotonic() < deadline:
            self._deliver()
            self._news.clear()
        self._report()

    def _fly_canary(self) -> None:
        try:
            self._session.canary.fly()
        except Exception as error:  # noqa: BLE001 - a canary that cannot fly is one that does not come back
            self._note(f"the canary could not be sent: {error}")

    def _report(self) -> None:
        self._news.clear()
        self._next_status = time.monotonic() + _STATUS_SECONDS
        canary = self._session.canary
        self._link.send_json(
            Kind.STATUS,
            {
                "phase": self._phase.value,
                "connected": self._session.connected and not self._lost,
                "missing_subscriptions": list(self._session.missing_subscriptions()),
                "refused_subscription": self._session.refused,
                "canary_answered_seconds_ago": canary.answered_seconds_ago(),
                "canary_round_trips": canary.take_round_trips(),
                "queue": self._queue.depth,
                "received": self._queue.received,
                "dropped": self._queue.dropped,
                "holding": self._holding,
                "closing": self._closing,
                "presence_cut": bool(self._lost) and self._presence is not None and self._presence.has_just_begun(),
                "trouble": self._lost or self._trouble or self._session.last_error.text,
                "lost": self._lost,
                "heard": [] if self._presence is None else self._presence.take_heard(),
            },
        )

    def _note(self, trouble: str) -> None:
        self._trouble = trouble

    def _wake(self) -> None:
        """Lets the main thread report at once. Any thread."""
        self._news.set()
        self._queue.wake()

    def _on_canary(self) -> None:
        """A canary is back: a later disconnection is not its fault, so presence may begin. dxlclient's thread."""
        self._session.begin_presence()
        self._wake()

    def _on_lost(self, reason: str) -> None:
        canary = self._session.canary
        if canary.sent and canary.answers_for is None:
            # Some brokers disconnect a client that sends what it may not send.
            reason += f" once the canary was sent: this client may lack the right to send to {TOPIC_PREFIX}#"
        self._lost = self._lost or reason
        self._stop.set()
        self._wake()

    def _on_control(self, line: dict[str, Any]) -> None:
        verb = line.get("verb")
        if verb == "stop":
            self._hand_over = None
            self._stop.set()
        elif verb == "hand_over":
            self._next_canary = 0.0
            self._hand_over = HandOver()
        elif verb == "stay":
            self._hand_over = None
        elif verb == "deliver":
            self._holding = False
        self._wake()


def main() -> None:
    """The entry of `python -m tie_forwarder.receiver`; never returns."""
    link, config = ParentLink.attach()
    code = 0
    try:
        ReceiverProcess(link=link, config=config).run()
    except Exception:  # noqa: BLE001 - the process's edge: the log tells the parent, the exit code too
        log_exception("receiver.failed")
        code = 1
    os._exit(code)
