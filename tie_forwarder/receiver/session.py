"""One connection to the fabric, from connect to loss, with dxlclient's traps disarmed.

dxlclient ignores the CONNACK code and takes SUBACK 0x80 for success, so both are read here. No MQTT pings are sent once
the broker has accepted the connection: the MQTT client would hang up when an answer queues behind a burst. The canary
is the traffic that the broker wants to see, and the canary decides. Waiting for a broker uses plain TCP: it costs
nothing, while a DXL client that fails leaks threads.
"""

from __future__ import annotations

import logging
import socket
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dxlclient.client import DxlClient
from dxlclient.client_config import DxlClientConfig

from tie_forwarder.backoff import Backoff
from tie_forwarder.events.message import TOPICS, Message
from tie_forwarder.receiver.callback import add_callbacks, unreadable_message
from tie_forwarder.receiver.canary import Canary
from tie_forwarder.receiver.presence import Presence
from tie_forwarder.receiver.speedups import read_ahead

_CONNECT_SECONDS = 2.0


def broker_addresses(config_file: Path) -> list[tuple[str, int]]:
    """Host and port of each broker of a dxlclient.config, by name and by address, as dxlclient tries them itself.

    Empty when a proxy stands between, which we cannot try.
    """
    config = DxlClientConfig.create_dxl_config_from_file(str(config_file))
    if config._get_http_proxy():  # noqa: SLF001 - dxlclient offers nothing else
        return []
    hosts = [
        (host, int(broker.port)) for broker in config.brokers for host in (broker.host_name, broker.ip_address) if host
    ]
    return list(dict.fromkeys(hosts))


def wait_for_a_broker(
    addresses: list[tuple[str, int]], *, stop: threading.Event, on_refused: Callable[[str], None]
) -> bool:
    """Blocks until one of the addresses accepts a connection, or until `stop`; false in the latter case."""
    backoff = Backoff(first_seconds=0.2, most_seconds=3.0)
    while not stop.is_set():
        if not addresses:
            return True
        for host, port in addresses:
            try:
                socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
            except OSError as error:
                on_refused(f"{host}:{port}: {error.strerror or error}")
            else:
                return True
        stop.wait(backoff.next_seconds())
    return False


_SUBSCRIPTION_REFUSED = 0x80
_SECOND_CLIENT = uuid.UUID("6f1c3f0e-6d0b-4a55-8a3d-0c5c2a0c9b57")


class LastError(logging.Handler):
    """Keeps the last complaint of dxlclient, whose log carries the only trace of most of its troubles."""

    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Runs on whatever thread logs; never raises."""
        self.text = record.getMessage()[:500]


class Session:
    """A DXL client with the TIE callbacks and the canary on it. Not to be used again after the connection is lost."""

    def __init__(
        self,
        *,
        config_file: Path,
        kinds: Sequence[str],
        keep_alive_seconds: int,
        take: Callable[[Message], None],
        on_canary: Callable[[], None],
        on_lost: Callable[[str], None],
        prepare: Callable[[Any], None] = lambda _config: None,
        presence: Presence | None = None,
    ) -> None:
        """`prepare` may change dxlclient's configuration before it is used."""
        self._config_file = config_file
        self._kinds = kinds
        self.topics = [TOPICS[kind] for kind in kinds]
        """The DXL topics of the kinds of event to take."""
        self._keep_alive_seconds = keep_alive_seconds
        self._take = take
        self._on_lost = on_lost
        self._prepare = prepare
        self._presence = presence
        self._client: Any = None
        self._lock = threading.Lock()
        self._asked: dict[int, str] = {}
        self._answers: dict[int, Sequence[int]] = {}
        self._granted: set[str] = set()
        self.canary = Canary(send=self._send, on_return=on_canary)
        self.refused: str = ""
        """The topic whose subscription the broker refused; empty when none was."""
        self.connected = False
        self.last_error = LastError()

    def connect(self) -> None:
        """Connects once and subscribes. Blocks for seconds, longer when a broker is silent; raises as dxlclient."""
        for name in ("dxlclient", "dxltieclient"):
            logging.getLogger(name).addHandler(self.last_error)
        config = DxlClientConfig.create_dxl_config_from_file(str(self._config_file))
        config.keep_alive_interval = self._keep_alive_seconds
        config.connect_retries = 0
        config.reconnect_when_disconnected = False
        config.incoming_message_thread_pool_size = 1
        self._prepare(config)
        self._client = DxlClient(config)
        self._watch_protocol(self._client._client)  # noqa: SLF001 - the only way to see CONNACK and SUBACK codes
        self._keep_unreadable(self._client)
        self._client._thread_pool = _SameThread(self._client._thread_pool)  # noqa: SLF001 - there is no such option
        self._client.add_event_callback(self.canary.topic, self.canary)
        add_callbacks(self._client, self._kinds, self._take)
        self._client.connect()
        self.connected = True

    def begin_presence(self) -> None:
        """Let the group hear of this member from now on; does nothing if it has begun. Any thread, never blocks."""
        if self._presence is not None:
            self._presence.start(subscribe=self._client.add_event_callback, send=self._send)

    def missing_subscriptions(self) -> Sequence[str]:
        """Topics that the broker has not granted on this connection."""
        with self._lock:
            return [topic for topic in (*self.topics, self.canary.topic) if topic not in self._granted]

    def _match(self) -> None:
        """Brings questions and answers together; the lock is held."""
        for mid in self._asked.keys() & self._answers.keys():
            topic = self._asked.pop(mid)
            if _SUBSCRIPTION_REFUSED in self._answers.pop(mid):
                if self._presence is None or topic != self._presence.topic:
                    self.refused = topic
            else:
                self._granted.add(topic)

    def _send(self, event: Any) -> None:
        self._client.send_event(event)

    def _keep_unreadable(self, client: Any) -> None:
        """dxlclient only logs a message whose envelope it cannot read; on a TIE topic its bytes are kept.

        So are those of a request or a response, which it would give to nobody.
        """
        handle = client._handle_message  # noqa: SLF001 - no public place sees the envelope
        client._fire_request = client._fire_response = _refuse_to_fire  # noqa: SLF001

        def handle_or_keep(channel: str, payload: bytes) -> None:
            try:
                handle(channel=channel, payload=payload)
            except Exception as error:  # dxlclient raises anything for a hostile envelope
                if channel not in self.topics:
                    raise
                self.last_error.text = f"a message on {channel} has an unreadable envelope: {error}"[:500]
                self._take(unreadable_message(channel, payload))

        client._handle_message = handle_or_keep  # noqa: SLF001

    def _watch_protocol(self, mqtt: Any) -> None:
        on_connect, on_disconnect, on_subscribe = mqtt.on_connect, mqtt.on_disconnect, mqtt.on_subscribe
        subscribe = mqtt.subscribe

        def connected(client: Any, userdata: Any, flags: Any, code: int) -> None:
            if code != 0:
                self._on_lost(f"the broker refused the connection with code {code}")
                return
            client._sock = read_ahead(client._sock)  # noqa: SLF001 - there is no such option
            client._keepalive = 0  # noqa: SLF001 - the broker has been told; from here on the canary decides
            on_connect(client, userdata, flags, code)

        def disconnected(client: Any, userdata: Any, code: int) -> None:
            self.connected = False
            self._on_lost(f"the connection was lost (code {code})")
            on_disconnect(client, userdata, code)

        # The lock is never held while paho is called: paho holds its own while it calls `answered`, which may even come
        # before `subscribe` has returned.
        def asked(topic: str, *args: Any, **kwargs: Any) -> Any:
            result = subscribe(topic, *args, **kwargs)
            with self._lock:
                self._asked[result[1]] = topic
                self._match()
            return result

        def answered(client: Any, userdata: Any, mid: int, granted: Sequence[int]) -> None:
            with self._lock:
                self._answers[mid] = granted
                self._match()
            on_subscribe(client, userdata, mid, granted)

        mqtt.on_connect, mqtt.on_disconnect, mqtt.on_subscribe = connected, disconnected, answered
        mqtt.subscribe = asked


def use_second_client_id(config: Any) -> None:
    """Gives dxlclient's configuration another client id, always the same one for the one in the file.

    A receiver and its successor are connected at the same time, and a broker disconnects the older of two clients with
    one id. Without an id in the file dxlclient makes up one for each process.
    """
    config._client_id = f"{{{uuid.uuid5(_SECOND_CLIENT, config._client_id)}}}"  # noqa: SLF001 - there is no public way


class _SameThread:
    """Stands where dxlclient's pool of threads stands, and runs each task on the network thread at once.

    The pool's queue would block the network thread when it is full, and hands over every message at the price of all
    the rest that is done with it; what our callbacks do is over in microseconds. Whoever calls catches what a task
    raises, and logs it.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def add_task(self, task: Callable[..., None], *args: Any, **named: Any) -> None:
        """Runs the task."""
        task(*args, **named)

    def wait_completion(self) -> None:
        """There is nothing to wait for."""

    def shutdown(self, wait_complete: bool = True) -> None:
        """Ends the threads that had nothing to do."""
        self._pool.shutdown(wait_complete)


def _refuse_to_fire(message: Any) -> None:
    raise ValueError(f"it is a {type(message).__name__}, not an Event")
