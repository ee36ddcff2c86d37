"""The chronicle: a line of totals each hour, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.clock import Clock
from tie_forwarder.supervisor.accounts import Ledger
from tie_forwarder.supervisor.observation import Chronicle


def test_each_hour_there_is_one_line_with_the_totals_and_what_the_hour_brought(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    chronicle = Chronicle(monotonic=clock)

    def told(ledger: Ledger) -> list[dict[str, Any]]:
        caplog.clear()
        for _ in range(3):
            chronicle.look(ledger.snapshot(5), state="ok")
        return [entry.__dict__["keys"] for entry in caplog.records]

    assert told(Ledger(received=15, published=10)) == []
    clock.now += 3_599
    assert told(Ledger(received=15, published=10)) == []
    clock.now += 1
    (first,) = told(Ledger(received=15, published=10))
    assert (first["state"], first["received"], first["received_in_the_hour"], first["imbalance"]) == ("ok", 15, 15, 0)
    clock.now += 3_600
    (second,) = told(Ledger(received=25, published=20))
    assert (second["published"], second["published_in_the_hour"], second["dropped_in_the_hour"]) == (20, 10, 0)
