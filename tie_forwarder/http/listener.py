"""Waitress's server with a bound on how many connections there are and how long each may live.

Waitress alone stops accepting when many connections are open, keeps one that sends a byte now and then for ever, and
never closes one that does not read its answer. Here the oldest connection makes room for a new one, whatever it does.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

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
