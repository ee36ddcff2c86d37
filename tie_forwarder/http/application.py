"""The WSGI application, and the board that the main loop posts on and the HTTP threads read.

No request touches dxlclient, Kafka or the spool. The page is rendered once per notice, however many browsers ask.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import socket
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder

from tie_forwarder.http.page.document import POLICY, render

_FRESH_SECONDS = 10.0


@dataclass(frozen=True)
class Notice:
    """One consistent picture. Replaced as a whole, so that reading needs no lock."""

    live: bool = True
    ready: bool = False
    why_not_ready: str = "starting"
    status: dict[str, Any] = field(default_factory=dict)


class Board:
    """Holds the last notice, and tells when nobody has written one for too long."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._posted_at = monotonic()
        self.notice = Notice()

    def post(self, notice: Notice) -> None:
        """Takes the place of the last notice."""
        self.notice = notice
        self._posted_at = self._monotonic()

    @property
    def live(self) -> bool:
        """Whether every loop made progress when the last notice was written, and that was just now."""
        return self.notice.live and self._monotonic() - self._posted_at < _FRESH_SECONDS

    @property
    def report(self) -> dict[str, Any]:
        """What /status says: the last notice's report, which says so when it is old. Empty before the first one."""
        status = self.notice.status
        if not status or self.live:
            return status
        stalled = {
            "state": "degraded",
            "reason": "stalled",
            "detail": "a loop of the main process makes no progress; all that stands here is old",
            "remedy": "none: it ends itself within half a minute, for the service manager to start it again",
        }
        told = {name: stalled[name] for name in ("state", "reason", "remedy")}
        return {**status, **told, "since": status["now"], "problems": [stalled, *status["problems"]]}


_SAFETY = (
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
)


class Page(NamedTuple):
    """A rendered page."""

    body: bytes
    tag: str
    kind: str = "text/html; charset=utf-8"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What a browser must know of it."""
        return (*_SAFETY, ("ETag", self.tag))


class Front:
    """Renders, and keeps the last page. Any thread: two at once may both render, and both are right."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._last: tuple[Notice | None, bool, Page] = (None, True, _page(_WAIT))

    def page(self) -> Page:
        """The page of the board's notice."""
        notice, live = self._board.notice, self._board.live
        rendered, as_live, page = self._last
        if notice.status and (rendered is not notice or as_live != live):
            page = _page(render(self._board.report))
            self._last = (notice, live, page)
        return page


_WAIT = b'<!doctype html><meta http-equiv="refresh" content="1"><title>tie-forwarder</title><p>It is starting.'


def _page(body: bytes) -> Page:
    return Page(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')


Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_NOT_MODIFIED = "304 Not Modified"


class Answer(NamedTuple):
    """What is sent back."""

    status: str
    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Application:
    """Answers GET and HEAD for five paths. Called on waitress's threads; never blocks."""

    def __init__(
        self, *, board: Board, registry: CollectorRegistry, allowed_hosts: Callable[[], Collection[str]] = tuple
    ) -> None:
        """`allowed_hosts` returns the names, in lower case, to which the page and /status answer besides their own.

        The other paths answer to any name: they have no payload and no address in them, and whoever scrapes or probes
        uses whatever name it found.
        """
        self._board = board
        self._allowed_hosts = allowed_hosts
        self._own_name = socket.gethostname().lower()
        self._registry = registry
        self._front = Front(board)
        self._routes: dict[str, Callable[[Environ], Answer]] = {
            "/": self._page,
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/status": self._status,
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI call."""
        route = self._routes.get(environ.get("PATH_INFO", ""))
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            answer = Answer("405 Method Not Allowed", _TEXT, b"only GET and HEAD\n")
        elif route is None:
            answer = Answer("404 Not Found", _TEXT, b"try /, /status, /metrics, /healthz or /readyz\n")
        elif route in (self._page, self._status) and not self._is_allowed(environ.get("HTTP_HOST", "")):
            answer = Answer(
                "403 Forbidden", _TEXT, b"this host name is not in http.allowed_hosts; use the IP address\n"
            )
        else:
            answer = route(environ)
        # An answer without a body of its own must not tell the length of another one.
        length = [] if answer.status is _NOT_MODIFIED else [("Content-Length", str(len(answer.body)))]
        start_response(
            answer.status,
            [
                ("Content-Type", answer.kind),
                *length,
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                *answer.headers,
            ],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _page(self, environ: Environ) -> Answer:
        page = self._front.page()
        if environ.get("HTTP_IF_NONE_MATCH") == page.tag:
            return Answer(_NOT_MODIFIED, page.kind, b"", page.headers)
        return Answer("200 OK", page.kind, page.body, page.headers)

    def _is_allowed(self, host: str) -> bool:
        """Whether a `Host` header may ask for what only people should see.

        A web page that rebinds its own name to this address sends that name. No header at all is no browser.
        """
        name = re.sub(r":[0-9]*$", "", host.strip()).lower().rstrip(".")
        if name in ("", "localhost", self._own_name) or name in self._allowed_hosts():
            return True
        try:
            ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
        except ValueError:
            return False
        return True

    def _metrics(self, environ: Environ) -> Answer:
        try:
            encoder, kind = choose_encoder(environ.get("HTTP_ACCEPT", ""))
            return Answer("200 OK", kind, encoder(self._registry))
        except Exception:  # noqa: BLE001 - the library's edge: it raises anything for a header that it cannot read
            return Answer("200 OK", CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry))

    def _healthz(self, environ: Environ) -> Answer:
        if self._board.live:
            return Answer("200 OK", _TEXT, b"live\n")
        return Answer("503 Service Unavailable", _TEXT, b"a loop of the main process makes no progress\n")

    def _readyz(self, environ: Environ) -> Answer:
        notice = self._board.notice
        if notice.ready and self._board.live:
            return Answer("200 OK", _TEXT, b"ready\n")
        why = notice.why_not_ready if self._board.live else "a loop of the main process makes no progress"
        return Answer("503 Service Unavailable", _TEXT, f"not ready: {why}\n".encode())

    def _status(self, environ: Environ) -> Answer:
        body = json.dumps(self._board.report, indent=2, ensure_ascii=False)
        # Half a surrogate pair, as a file's name may have, becomes the escape that JSON has for it.
        return Answer("200 OK", _JSON, body.encode(errors="backslashreplace") + b"\n")
