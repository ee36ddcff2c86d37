"""A fabric connection for commands: it fails with the cause instead of recovering as the daemon does.

`BrokerTrial` tries one broker for `check --connect`: a session with its subscriptions, then a canary.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dxlclient.client import DxlClient
from dxlclient.client_config import DxlClientConfig
from dxlclient.message import Event

from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.message import Message
from tie_forwarder.receiver.callback import add_callbacks
from tie_forwarder.receiver.session import LastError, Session, broker_addresses

_KEEP_ALIVE_SECONDS = 5
_DESTROY_SECONDS = 10.0
_ABANDON_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 0.02
_GIVEN_UP = "Error during connect: "
_REMEDY = "see whether the broker runs, and whether it trusts this certificate"


class FabricConnection:
    """A connected DXL client. `lost` is set once the connection is gone, and stays set: nothing reconnects."""

    def __init__(self, *, client: Any, lost: threading.Event) -> None:
        self.client = client
        self.lost = lost

    def publish(self, topic: str, payload: bytes) -> None:
        """Queue one event for the fabric and return at once; ForwarderError when the connection is lost."""
        if self.lost.is_set():
            raise ForwarderError("the connection to the fabric was lost", remedy=f"{_REMEDY}, and start again")
        event = Event(topic)
        event.payload = payload
        self.client.send_event(event)

    def receive(self, kinds: Iterable[str], take: Callable[[Message], None]) -> None:
        """Subscribe to these kinds of event; `take` gets each on a thread of dxlclient and must not block.

        Returns once the broker has confirmed the subscriptions.
        """
        add_callbacks(self.client, kinds, take)


@contextmanager
def connected_client(dxl_config: Path, timeout_seconds: float = 10.0) -> Iterator[FabricConnection]:
    """Connect within `timeout_seconds`, under a client id of its own, or raise ForwarderError with the remedy.

    At the end everything that was published is flushed to the broker, unless that takes longer than ten seconds.
    """
    _refuse_faults(dxl_config)
    deadline = time.monotonic() + timeout_seconds
    _refuse_unreachable(dxl_config, deadline)
    config = DxlClientConfig.create_dxl_config_from_file(str(dxl_config))
    # The daemon may be connected with the same file: two clients of one id throw each other out without end.
    config._client_id = f"{{{uuid.uuid4()}}}"  # noqa: SLF001 - dxlclient has no public way
    config.keep_alive_interval = _KEEP_ALIVE_SECONDS
    config.connect_retries = 0
    config.reconnect_when_disconnected = False
    last_error = LastError()
    logger = logging.getLogger("dxlclient")
    logger.addHandler(last_error)
    try:
        client, lost = _connect(config, dxl_config, deadline, last_error)
        try:
            yield FabricConnection(client=client, lost=lost)
        finally:
            _within(_DESTROY_SECONDS, client.destroy)
    finally:
        logger.removeHandler(last_error)


def _refuse_faults(dxl_config: Path) -> None:
    faults = FabricFile(file=dxl_config, place="").faults()
    if faults:
        raise ForwarderError("\n".join(str(fault) for fault in faults))


def _refuse_unreachable(dxl_config: Path, deadline: float) -> None:
    """A plain connect tells at once what dxlclient would tell late or never."""
    complaints = []
    for host, port in broker_addresses(dxl_config):
        try:
            socket.create_connection((host, port), timeout=max(deadline - time.monotonic(), 0.1)).close()
        except OSError as error:
            complaints.append(f"{host}:{port}: {error.strerror or error}")
        else:
            return
    if complaints:
        message = f"no broker of {dxl_config} can be reached: {'; '.join(complaints)}"
        raise ForwarderError(message, remedy="see whether the fabric runs and can be reached from here")


def _connect(config: Any, dxl_config: Path, deadline: float, last_error: LastError) -> tuple[Any, threading.Event]:
    client = DxlClient(config)
    lost = threading.Event()
    mqtt = client._client  # noqa: SLF001 - dxlclient tells nobody that its connection is gone
    on_disconnect = mqtt.on_disconnect

    def disconnected(*arguments: Any) -> None:
        lost.set()
        on_disconnect(*arguments)

    mqtt.on_disconnect = disconnected
    failures: list[Exception] = []

    def connect() -> None:
        try:
            client.connect()
        except Exception as error:  # noqa: BLE001 - a thread's edge; dxlclient raises what OpenSSL and the system do
            failures.append(error)

    thread = threading.Thread(target=connect, name="connect", daemon=True)
    thread.start()
    # dxlclient goes on waiting for ten seconds after it has given up, which only its log tells.
    while thread.is_alive() and time.monotonic() < deadline and not last_error.text.startswith(_GIVEN_UP):
        thread.join(_LOOK_AGAIN_SECONDS)
    if not thread.is_alive() and not failures:
        return client, lost
    _within(_ABANDON_SECONDS, lambda: _end_network_loop(mqtt))
    reason = last_error.text.removeprefix(_GIVEN_UP) or (str(failures[0]) if failures else "no answer in time")
    raise ForwarderError(f"cannot connect with {dxl_config}: {reason}", remedy=_REMEDY)


def _end_network_loop(mqtt: Any) -> None:
    """A connect that has failed leaves paho's loop running, which would try on."""
    with suppress(Exception):  # the connection is given up
        mqtt.disconnect()
        mqtt.loop_stop()


def _within(seconds: float, action: Callable[[], None]) -> bool:
    """Run `action` on a daemon thread and wait for it; false when it goes on, and is left to itself."""
    thread = threading.Thread(target=action, name="dxlclient", daemon=True)
    thread.start()
    thread.join(max(seconds, 0.0))
    return not thread.is_alive()


_BROKER_TRIAL_KEEP_ALIVE_SECONDS = 5
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
            keep_alive_seconds=_BROKER_TRIAL_KEEP_ALIVE_SECONDS,
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
