"""Asking a running forwarder over HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from tie_forwarder.config.address import Address
from tie_forwarder.errors import ForwarderError

_TIMEOUT_SECONDS = 3
_WHOLE_SECONDS = 6.0
_LONGEST_REASON = 200
_SLOW = f"not whole within {_WHOLE_SECONDS:.0f} s"
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what is bound everywhere is asked at home


def ask(address: Address, path: str, *, most_bytes: int, tls: bool = False) -> tuple[int, str]:
    """The status and the text of the answer. Blocks for some seconds at most, however slowly it comes.

    Raises ForwarderError when there is none.
    """
    # http.client, because urllib would go through the proxy that http_proxy names.
    make = HTTPSConnection if tls else HTTPConnection
    late = threading.Event()
    try:
        connection = make(_LOOPBACK.get(address.host, address.host), address.port, timeout=_TIMEOUT_SECONDS)
    except HTTPException as error:
        raise _no_answer(address, path, tls, "this is not a host") from error
    try:
        connection.connect()
        with _cut_after(_WHOLE_SECONDS, connection.sock, late):
            connection.request("GET", path)
            response = connection.getresponse()
            text = response.read(most_bytes).decode("utf-8", "replace")
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no host can have that name
        said = " ".join(str(error).split())[:_LONGEST_REASON]
        reason = _SLOW if late.is_set() else getattr(error, "strerror", None) or said or type(error).__name__
        raise _no_answer(address, path, tls, reason) from error
    finally:
        connection.close()
    if late.is_set():
        raise _no_answer(address, path, tls, _SLOW)
    return response.status, text


def _no_answer(address: Address, path: str, tls: bool, reason: str) -> ForwarderError:
    url = f"{'https' if tls else 'http'}://{address}{path}"
    return ForwarderError(f"{url} gave no answer: {reason}", remedy="is the forwarder running?")


@contextmanager
def _cut_after(seconds: float, connection: socket.socket, late: threading.Event) -> Iterator[None]:
    """Ends the connection when the time is up: each single read has its own time-out, and there may be many."""

    def cut() -> None:
        late.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
