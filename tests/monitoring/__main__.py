"""Writes what is made from the code: `python -m tests.monitoring`, or `make monitoring`. Commit what it writes."""

from __future__ import annotations

from tests.monitoring import dashboards, metrics_page


def main() -> None:
    """Writes every file; a test holds them equal to what this would write."""
    metrics_page.PAGE.write_text(metrics_page.render(), encoding="utf-8")
    for name, content in dashboards.all_dashboards().items():
        (dashboards.DIRECTORY / name).write_text(dashboards.render(content), encoding="utf-8")


if __name__ == "__main__":
    main()
