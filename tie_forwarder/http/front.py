"""The front page: the status page of the last notice, rendered once however many browsers ask for it."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from tie_forwarder.http.board import Board, Notice
from tie_forwarder.page import POLICY, render

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
