"""Asking a running forwarder over HTTP."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection

from tie_forwarder.config.address import Address
from tie_forwarder.errors import ForwarderError

_TIMEOUT_SECONDS = 3
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what is bound everywhere is asked at home


def ask(address: Address, path: str, *, most_bytes: int, tls: bool = False) -> tuple[int, str]:
    """The status and the text of the answer. Blocks for some seconds at most.

    Raises ForwarderError when there is none.
    """
    # http.client, because urllib would go through the proxy that http_proxy names.
    make = HTTPSConnection if tls else HTTPConnection
    connection = make(_LOOPBACK.get(address.host, address.host), address.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(most_bytes).decode("utf-8", "replace")
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        url = f"{'https' if tls else 'http'}://{address}{path}"
        raise ForwarderError(f"{url} gave no answer: {reason}", remedy="is the forwarder running?") from error
    finally:
        connection.close()
