"""The whole document, and the policy that the browser holds it to."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from tie_forwarder import status_words as words
from tie_forwarder.page.banner import banner
from tie_forwarder.page.cards import cards
from tie_forwarder.page.drawing import icon, symbols
from tie_forwarder.page.flow import flow
from tie_forwarder.page.markup import Markup, element

_STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_SCRIPT = Path(__file__).with_name("live.js").read_text(encoding="utf-8")
_REFRESH_SECONDS = 5


def _digest(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_digest(_STYLE)}",
        f"script-src {_digest(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The Content-Security-Policy: this style, this script and this server, and nothing else."""


def render(status: dict[str, Any]) -> bytes:
    """The page of a report of /status."""
    tone = words.tone(status["state"], status["reason"])
    name = f"{words.title(status['state'], status['reason'])} \u00b7 {status['group']['member']}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("title", name),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href=icon(tone)),
        element("noscript", element("meta", http_equiv="refresh", content=_REFRESH_SECONDS)),
        element("style", Markup(_STYLE)),
    )
    main = element("main", banner(status), flow(status), cards(status))
    body = element("body", symbols(), _top(status), main, _foot(status), element("script", Markup(_SCRIPT)))
    page = element("html", head, body, lang="en", data_version=status["version"])
    return f"<!doctype html>\n{page}\n".encode()


def _top(status: dict[str, Any]) -> Markup:
    where = f"{status['group']['member']} in {status['group']['name']}"
    return element(
        "header",
        element("p", element("b", "tie-forwarder"), element("span", where)),
        element("p", element("time", words.clock(status["now"]), datetime=status["now"]), id="heard"),
    )


def _foot(status: dict[str, Any]) -> Markup:
    running = words.seconds_between(status["started"], status["now"])
    versions = " \u00b7 ".join(f"{name} {version}" for name, version in status["versions"].items())
    links = [element("a", path, href=path) for path in ("/status", "/metrics", "/healthz", "/readyz")]
    return element(
        "footer",
        element("p", f"Running for {words.span(running or 0)}, with {', '.join(status['publisher']['kafka'])}"),
        element("p", versions),
        element("nav", links),
    )
