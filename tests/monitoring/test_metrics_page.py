"""docs/metrics.md is what the code exports."""

from __future__ import annotations

from tests.monitoring import metrics_page


def test_the_page_of_metrics_is_made_from_the_code() -> None:
    assert metrics_page.PAGE.read_text(encoding="utf-8") == metrics_page.render(), "run `make monitoring`"
