"""The receiver process: startup, the sender's loop, the status each second, and the end.

Threads: main reports the status; `sender` writes message frames; `control` listens to the parent; dxlclient's own run
the callback. The process ends by `os._exit`, since dxlclient's `destroy` may block for minutes.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

from tie_forwarder.children.frames import Kind, encode_messages
from tie_forwarder.children.link import ParentLink
from tie_forwarder.children.log import log, log_exception
from tie_forwarder.memory import Thrift
from tie_forwarder.receiver.brokers import broker_addresses, wait_for_a_broker
from tie_forwarder.receiver.presence import Presence
from tie_forwarder.receiver.queue import MessageQueue
from tie_forwarder.receiver.session import Session
from tie_forwarder.receiver.unpacker import install_compiled_unpacker, install_message_ids

_STATUS_SECONDS = 1.0
_BATCH_MESSAGES = 500
BATCH_BYTES = 1024 * 1024
QUEUE_BYTES = 64 * 1024 * 1024
_FLUSH_SECONDS = 2.0
_GATHER_SECONDS = 0.005


class Phase(StrEnum):
    """How far the receiver is; the supervisor's patience depends on it."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    RECEIVING = "receiving"


class ReceiverProcess:
    """Everything of one receiver process."""

    def __init__(self, *, link: ParentLink, config: dict[str, Any]) -> None:
        self._link = link
        self._config_file = Path(config["config_file"])
        self._canary_interval = float(config["canary_interval_seconds"])
        self._queue = MessageQueue(most_messages=config["queue_events"], most_bytes=QUEUE_BYTES)
        self._stop = threading.Event()
        self._news = threading.Event()
        self._phase = Phase.WAITING
        self._trouble = ""
        self._lost = ""
        group, member = config["group"], config["member"]
        self._presence = None if group is None else Presence(group=group, member=member)
        self._session = Session(
            config_file=self._config_file,
            kinds=config["events"],
            keep_alive_seconds=config["keep_alive_seconds"],
            take=self._queue.put,
            on_lost=self._on_lost,
            on_canary=self._news.set,
            presence=self._presence,
        )

    def run(self) -> None:
        """Runs until the parent says stop or the connection is lost; then hands over what it holds and returns."""
        install_compiled_unpacker()
        install_message_ids()
        self._link.listen(self._on_control)
        sender = threading.Thread(target=self._send_messages, name="sender", daemon=True)
        sender.start()
        threading.Thread(target=self._connect, name="connect", daemon=True).start()
        next_canary = 0.0
        thrift = Thrift()
        while not self._stop.is_set():
            self._news.clear()
            if self._phase is Phase.RECEIVING and time.monotonic() >= next_canary:
                next_canary = time.monotonic() + self._canary_interval
                self._fly_canary()
            self._report()
            if not self._news.wait(_STATUS_SECONDS):
                thrift.look(self._queue.received - self._queue.depth)
        sender.join(_FLUSH_SECONDS)
        self._report()

    def _connect(self) -> None:
        try:
            addresses = broker_addresses(self._config_file)
            if not wait_for_a_broker(addresses, stop=self._stop, on_refused=self._note):
                return
            self._phase = Phase.CONNECTING
            self._session.connect()
        except Exception as error:  # noqa: BLE001 - a canary that cannot fly is one that does not come back
            self._on_lost(f"connecting failed: {self._session.last_error.text or error}")
            return
        self._phase = Phase.RECEIVING
        self._trouble = ""
        self._news.set()
        log(logging.INFO, "receiver.connected", topics=self._session.topics)

    def _send_messages(self) -> None:
        sent_at = 0.0
        while True:
            stopping = self._stop.is_set()
            # A lone message goes at once; in a stream a few are gathered, which saves the parent a turn for each.
            time.sleep(max(0.0, min(_GATHER_SECONDS, sent_at + _GATHER_SECONDS - time.monotonic())))
            batch = self._queue.take(most_messages=_BATCH_MESSAGES, most_bytes=BATCH_BYTES, timeout_seconds=0.2)
            if batch:
                self._link.send(encode_messages(batch))
                sent_at = time.monotonic()
            elif stopping:
                return

    def _fly_canary(self) -> None:
        try:
            self._session.canary.fly()
        except Exception as error:  # noqa: BLE001 - a canary that cannot fly is one that does not come back
            self._note(f"the canary could not be sent: {error}")

    def _report(self) -> None:
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
                "trouble": self._lost or self._trouble or self._session.last_error.text,
                "lost": self._lost,
                "heard": [] if self._presence is None else self._presence.take_heard(),
            },
        )

    def _note(self, trouble: str) -> None:
        self._trouble = trouble

    def _on_lost(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._stop.set()
        self._news.set()

    def _on_control(self, line: dict[str, Any]) -> None:
        if line.get("verb") == "stop":
            self._stop.set()
            self._news.set()


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
