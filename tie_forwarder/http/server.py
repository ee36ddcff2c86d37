"""Serving the application with waitress, on a thread of its own."""

from __future__ import annotations

import socket
import threading
from typing import Any

from waitress.server import create_server

from tie_forwarder.config.address import Address
from tie_forwarder.errors import ForwarderError
from tie_forwarder.http.application import Application

_THREADS = 2
_MOST_CONNECTIONS = 64
_IDLE_SECONDS = 10
_MOST_BODY_BYTES = 4096
_STOP_SECONDS = 2.0


class Server:
    """An HTTP server that slow, broken and many clients cannot hurt: waitress buffers, times out and refuses."""

    def __init__(self, *, application: Application, address: Address) -> None:
        self._application = application
        self._address = address
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on, also where the configuration says 0."""
        return int(self._server.effective_port)

    def start(self) -> None:
        """Opens the port and begins to serve. Raises ForwarderError when the port cannot be had."""
        family = socket.AF_INET6 if ":" in self._address.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._address.host, self._address.port))
        except OSError as error:
            listener.close()
            raise ForwarderError(
                f"http.listen = {str(self._address)!r}: {error.strerror or error}",
                remedy="give a free port of this machine, or stop what uses it",
            ) from error
        self._server = create_server(
            self._application,
            sockets=[listener],
            threads=_THREADS,
            connection_limit=_MOST_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=_IDLE_SECONDS,
            max_request_body_size=_MOST_BODY_BYTES,
            ident="tie-forwarder",
            clear_untrusted_proxy_headers=True,
        )
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Closes the port; open requests are cut."""
        if self._server is not None:
            self._server.close()
            assert self._thread is not None
            self._thread.join(_STOP_SECONDS)
