"""A gate before a registry: TLS and a password, as administrators put them there with a reverse proxy.

Owns: who is let through. Must not: know what a registry is.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.harness.ports import free_port
from tie_forwarder.demo.certificates import Identity

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Gate:
    """Passes on every request that carries user and password. `status` instead answers everything by itself."""

    def __init__(self, *, behind: int, identity: Identity, user: str, password: str) -> None:
        """`behind` is the port of what it stands before."""
        self.port = free_port()
        self.status: int | None = None
        self._behind = behind
        self._wanted = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.certificate, identity.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if gate.status is not None or self.headers.get("Authorization") != gate._wanted:
                    self._answer(gate.status or 401, b"<html>not here</html>")
                    return
                connection = http.client.HTTPConnection("127.0.0.1", gate._behind, timeout=10)
                headers = {"Content-Type": self.headers.get("Content-Type") or ""}
                connection.request(self.command, self.path, body or None, headers)
                answer = connection.getresponse()
                self._answer(answer.status, answer.read())
                connection.close()

            do_GET = do_POST = do_PUT = pass_on  # noqa: N815 - the names that http.server calls

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        return Handler
