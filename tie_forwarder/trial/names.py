"""Names of hosts, looked up with a limit: the system's resolver may take half a minute, and cannot be interrupted."""

from __future__ import annotations

import socket
import threading


def addresses_of(host: str, *, seconds: float) -> list[str] | str:
    """The addresses of a host in the resolver's order, or in words why there are none in time."""
    found: list[list[str] | str] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.append(list(dict.fromkeys(str(answer[4][0]) for answer in answers)))
        except OSError as error:
            found.append(error.strerror or str(error))
        except UnicodeError:
            found.append("it is no name of a host")

    thread = threading.Thread(target=look_up, name="resolver", daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else f"the name servers have not answered in {seconds:.0f} s"
