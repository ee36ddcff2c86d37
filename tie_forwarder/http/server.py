"""Serving over HTTP on a thread of its own, with bounds on the number and lifetime of connections."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from tie_forwarder.config.address import Address
from tie_forwarder.errors import ForwarderError
from tie_forwarder.http.application import Application

_THREADS = 2
_MOST_CONNECTIONS = 64
_IDLE_SECONDS = 10
_LONGEST_SECONDS = 30
_LOOK_SECONDS = 1
_MOST_HEADER_BYTES = 16 * 1024
_MOST_BODY_BYTES = 4096


class Listener(TcpWSGIServer):  # type: ignore[misc]  # waitress carries no types
    """Serves a bound socket. `serve_once` belongs to one thread; `wake` may be called from any."""

    def __init__(self, *, application: Callable[..., Iterable[bytes]], bound: socket.socket) -> None:
        """Begins to listen, but answers only in `serve_once`. Raises OSError when it cannot listen."""
        limits = Adjustments(
            threads=_THREADS,
            # Ours comes first: see `handle_accept`.
            connection_limit=4 * _MOST_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=_LOOK_SECONDS,
            max_request_header_size=_MOST_HEADER_BYTES,
            max_request_body_size=_MOST_BODY_BYTES,
            ident="tie-forwarder",
            clear_untrusted_proxy_headers=True,
        )
        place = (bound.family, bound.type, bound.proto, bound.getsockname())
        super().__init__(application, _sock=bound, adj=limits, bind_socket=False, sockinfo=place)

    def serve_once(self, timeout_seconds: float) -> None:
        """Waits for something to do, and does it."""
        wasyncore.loop(timeout=timeout_seconds, map=self._map, use_poll=True, count=1)

    def wake(self) -> None:
        """Makes a waiting `serve_once` return."""
        self.pull_trigger()

    def handle_accept(self) -> None:
        """Takes a connection, and lets the oldest ones go where there are too many."""
        super().handle_accept()
        surplus = len(self.active_channels) - _MOST_CONNECTIONS
        for channel in list(self.active_channels.values())[: max(0, surplus)]:
            _cut(channel)

    def maintenance(self, now: float) -> None:
        """Lets go what has been idle, or has lived, for too long."""
        for channel in list(self.active_channels.values()):
            idle = not channel.requests and channel.last_activity < now - _IDLE_SECONDS
            if idle or channel.creation_time < now - _LONGEST_SECONDS:
                _cut(channel)

    def close_all(self) -> None:
        """Closes the port and every connection. To be called when `serve_once` is not running."""
        self.task_dispatcher.shutdown(timeout=_LOOK_SECONDS)
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        self.close()


def _cut(channel: Any) -> None:
    """Ends a connection without closing its descriptor, which the loop may be about to wait for."""
    channel.will_close = True
    with suppress(OSError):
        channel.socket.shutdown(socket.SHUT_RDWR)


_TURN_SECONDS = 1.0
_STOP_SECONDS = 2.0
_SWITCH_SECONDS = 0.0005
"""How long a busy thread keeps the interpreter to itself. An answer waits for it several times, and Python's default of
5 ms made pages three times slower under full load; events are forwarded as fast either way."""


class Server:
    """An HTTP server that slow, broken and many clients cannot hurt."""

    def __init__(self, *, application: Application, address: Address) -> None:
        self._application = application
        self._address = address
        self._stop = threading.Event()
        self._ending = threading.Lock()
        """Nobody is woken who is closed: what is closed may be another file by then."""
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on, also where the configuration says 0."""
        assert self._listener is not None
        return int(self._listener.effective_port)

    def start(self) -> None:
        """Opens the port and begins to serve. Raises ForwarderError when the port cannot be had."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        # It warns of every request that has to wait for another, which whoever asks can bring about.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        family = socket.AF_INET6 if ":" in self._address.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._address.host, self._address.port))
            self._listener = Listener(application=self._application, bound=bound)
        except OSError as error:
            bound.close()
            raise ForwarderError(
                f"http.listen = {str(self._address)!r}: {error.strerror or error}",
                remedy="give a free port of this machine, or stop what uses it",
            ) from error
        self._thread = threading.Thread(target=self._serve, args=(self._listener,), name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Closes the port; open requests are cut. Blocks for two seconds at most."""
        if self._listener is None or self._thread is None:
            return
        with self._ending:
            if not self._stop.is_set():
                self._stop.set()
                self._listener.wake()
        self._thread.join(_STOP_SECONDS)

    def _serve(self, listener: Listener) -> None:
        while not self._stop.is_set():
            try:
                listener.serve_once(_TURN_SECONDS)
            except Exception:  # the thread's edge: one connection's trouble must not close the port
                logging.getLogger("tie_forwarder.http").exception("http.failed")
                self._stop.wait(_TURN_SECONDS)
        with self._ending:
            listener.close_all()
