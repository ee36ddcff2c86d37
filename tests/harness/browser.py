"""A headless Chromium, and visits to pages that tell what a person would see and what the browser complains of.

Owns: one Chromium and its pages. Must not: reach any host but this machine's, or outlive its test.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Page, sync_playwright

from tests.harness.chromium import chromium_path

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PICTURES = "TIE_FORWARDER_PICTURES"
"""The environment variable with the folder that photographs go to; without it none is taken."""

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Visit:
    """A page that is open, and everything that went wrong or out since it was opened."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        """What the browser's console has to say: errors, warnings and violations of the policy."""
        self.requests: list[str] = []
        self.failures: list[str] = []
        page.on("console", lambda message: self._on_console(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.failures.append(request.url))
        self._url = url
        page.goto(url)

    @property
    def text(self) -> str:
        """What a person reads."""
        return self.page.inner_text("body")

    @property
    def strangers(self) -> list[str]:
        """Requests to anybody but the server of the page; what needs no request does not count."""
        return [url for url in self.requests if not url.startswith((self._url, "data:"))]

    @property
    def asked(self) -> int:
        """How often the page has asked its server for something since it was loaded."""
        return int(self.page.evaluate("performance.getEntriesByType('resource').length"))

    @property
    def overflows(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))

    def wait_for(self, text: str, *, within: str = "body", seconds: float = 30.0) -> None:
        """Blocks until the text is to be read; `TimeoutError` of Playwright otherwise."""
        self.page.locator(within).filter(has_text=text).first.wait_for(timeout=seconds * 1000)

    def value(self, script: str) -> Any:
        """What a script in the page returns."""
        return self.page.evaluate(script)

    def photograph(self, name: str) -> None:
        """Takes a picture of the whole page, where `PICTURES` names a folder."""
        folder = os.environ.get(PICTURES)
        if folder:
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)

    def close(self) -> None:
        """Leaves the page."""
        self.page.context.close()

    def _on_console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")


class Browser:
    """One Chromium for several visits, each with cookies and caches of its own. One thread."""

    def __enter__(self) -> Self:
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(executable_path=chromium_path(), args=_FLAGS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._chromium.close()
        self._playwright.stop()

    def visit(self, url: str, *, dark: bool = False, width: int = 1280, script: bool = True) -> Visit:
        """Opens a page in a window of its own; without `script` the browser has JavaScript disabled."""
        context = self._chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            device_scale_factor=1,
        )
        context.set_default_timeout(30_000)
        return Visit(context.new_page(), url)
