"""Serving the application over HTTP, on a thread of its own."""

from __future__ import annotations

import logging
import socket
import sys
import threading

from tie_forwarder.config.address import Address
from tie_forwarder.errors import ForwarderError
from tie_forwarder.http.application import Application
from tie_forwarder.http.listener import Listener

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
