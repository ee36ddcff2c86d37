"""A Chromium for the tests of a module; a report that is served without a forwarder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.browser import Browser
from tests.harness.chromium import chromium_path
from tests.http.test_http import Site
from tie_forwarder.http.application import Notice


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a module: while it lives, its client's event loop is in the way of everybody else's."""
    if chromium_path() is None:
        pytest.fail("chromium: missing; run `python -m tests.harness.provision`")
    with Browser() as browser:
        yield browser


class Stand(Site):
    """Serves reports that the test writes."""

    def __init__(self) -> None:
        super().__init__()
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}/"

    def show(self, status: dict[str, Any]) -> None:
        """This is how things are from now on."""
        self.board.post(Notice(status=status))

    def report(self) -> dict[str, Any]:
        """What /status says."""
        found: dict[str, Any] = json.loads(self.ask("/status")[1])
        return found


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.server.stop()
