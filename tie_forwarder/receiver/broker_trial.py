"""One broker, tried as the receiver uses it: a session with its subscriptions, and a canary that must come back.

It connects under a client id of its own: two clients of one id throw each other out without end, and the service may
be connected with the same file. Whoever runs it ends with its process, since dxlclient leaves threads that never end.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tie_forwarder.receiver.session import Session

_KEEP_ALIVE_SECONDS = 5
_LOOK_SECONDS = 0.02
_CANARY_SECONDS = 0.5


class BrokerTrial:
    """Connects to one broker of a dxlclient.config, which is told by its host and port. One thread."""

    def __init__(self, *, config_file: Path, host: str, port: int, kinds: Sequence[str], through: str) -> None:
        """`through` is the host or address that took a connection; empty where a proxy stands between."""
        self._through = through
        self._host = host
        self._port = port
        self._lost = ""
        self._failure = ""
        self._came_back = threading.Event()
        self._session = Session(
            config_file=config_file,
            kinds=kinds,
            keep_alive_seconds=_KEEP_ALIVE_SECONDS,
            take=lambda _message: None,
            on_canary=self._came_back.set,
            on_lost=self._note_loss,
            prepare=self._prepare,
        )
        self.topics = self._session.topics

    def subscribe(self, seconds: float) -> str:
        """What keeps the broker from having confirmed all subscriptions in time; empty when it has."""
        thread = threading.Thread(target=self._connect, name="connect", daemon=True)
        thread.start()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._session.refused:
                return f"the broker refuses the subscription to {self._session.refused}"
            if self._lost or self._failure:
                return self._lost or self._failure
            if self._session.connected and not self._session.missing_subscriptions():
                return ""
            time.sleep(_LOOK_SECONDS)
        missing = ", ".join(self._session.missing_subscriptions())
        return self._session.last_error.text or f"no answer in time to the subscriptions to {missing}"

    def fly(self, seconds: float) -> float | None:
        """Sends canaries; the round trip of the first that comes back, in seconds, or None."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._lost:
            with suppress(Exception):  # dxlclient raises what paho does; that no canary came back says it all
                self._session.canary.fly()
            if self._came_back.wait(_CANARY_SECONDS):
                return self._session.canary.take_round_trips()[0]
        return None

    @property
    def lost(self) -> str:
        """Why the connection is gone; empty while it is not."""
        return self._lost

    def _prepare(self, config: Any) -> None:
        config._client_id = f"{{{uuid.uuid4()}}}"  # noqa: SLF001 - dxlclient has no public way
        chosen = [
            broker for broker in config.brokers if (broker.host_name, int(broker.port)) == (self._host, self._port)
        ]
        for broker in chosen if self._through else ():
            # dxlclient tries the name first, and waits for name servers that may not answer.
            broker.host_name, broker.ip_address = self._through, None
        if config.use_websockets:
            config.websocket_brokers = chosen
        else:
            config.brokers = chosen

    def _connect(self) -> None:
        try:
            self._session.connect()
        except Exception as error:  # noqa: BLE001 - a thread's edge; dxlclient raises what OpenSSL and the system do
            self._failure = self._session.last_error.text or str(error)

    def _note_loss(self, why: str) -> None:
        self._lost = self._lost or why
