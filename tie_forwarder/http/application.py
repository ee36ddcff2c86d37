"""The WSGI application."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from tie_forwarder.http.board import Board

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Answer = tuple[str, str, bytes]

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"


class Application:
    """Answers GET and HEAD for four paths. Called on waitress's threads; never blocks."""

    def __init__(self, *, board: Board, registry: CollectorRegistry) -> None:
        self._board = board
        self._registry = registry
        self._routes: dict[str, Callable[[Environ], Answer]] = {
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/status": self._status,
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI call."""
        route = self._routes.get(environ.get("PATH_INFO", ""))
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, kind, body = "405 Method Not Allowed", _TEXT, b"only GET and HEAD\n"
        elif route is None:
            status, kind, body = "404 Not Found", _TEXT, b"try /status, /metrics, /healthz or /readyz\n"
        else:
            status, kind, body = route(environ)
        start_response(
            status,
            [
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _metrics(self, environ: Environ) -> Answer:
        encoder, kind = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        return "200 OK", kind, encoder(self._registry)

    def _healthz(self, environ: Environ) -> Answer:
        if self._board.live:
            return "200 OK", _TEXT, b"live\n"
        return "503 Service Unavailable", _TEXT, b"a loop of the main process makes no progress\n"

    def _readyz(self, environ: Environ) -> Answer:
        notice = self._board.notice
        if notice.ready and self._board.live:
            return "200 OK", _TEXT, b"ready\n"
        why = notice.why_not_ready if self._board.live else "a loop of the main process makes no progress"
        return "503 Service Unavailable", _TEXT, f"not ready: {why}\n".encode()

    def _status(self, environ: Environ) -> Answer:
        body = json.dumps(self._board.notice.status, indent=2, ensure_ascii=False)
        return "200 OK", _JSON, body.encode() + b"\n"
