"""`tie-forwarder status`: how a forwarder is, from itself or, when it is down, from its spool."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tie_forwarder.cli import config_options
from tie_forwarder.errors import ForwarderError

if TYPE_CHECKING:
    from tie_forwarder.demo.interruption import Interruption

EXIT_CODES = {
    "ok": 0,
    "standby": 0,
    "not_answering": 1,
    "not_running": 3,
    "buffering": 4,
    "blocked": 5,
    "degraded": 6,
}
"""By state. 1, 2 and 78 mean for every verb that it failed, that it was called wrongly, or a bad configuration."""

_BETWEEN_SECONDS = 2.0
_WIDE = 10_000


@click.command
@config_options
@click.option("--url", metavar="URL", help="Ask there, as in http://127.0.0.1:9469, instead of by the configuration.")
@click.option("--watch", is_flag=True, help="Go on, each two seconds, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --watch one a line.")
def status(config: Path | None, overrides: Mapping[str, str], url: str | None, watch: bool, as_json: bool) -> int:
    """Show how a running forwarder is, and what to do.

    When none answers, what its spool holds. Ends with 0 when it is ok or stands by, 3 when it is not running, 4
    buffering, 5 blocked, 6 degraded, and 1 when it cannot be found out. With --watch it ends at Ctrl-C, with 0; where
    it writes to no terminal, it then writes a line each time.
    """
    report = _source(config, overrides, url)
    if watch:
        _watch(report, as_json)
        return 0
    found = report()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    return EXIT_CODES.get(found["state"], 1)


def _source(config: Path | None, overrides: Mapping[str, str], url: str | None) -> Callable[[], dict[str, Any]]:
    from tie_forwarder.cli.status_source import by_config, by_url

    if url is not None:
        if config is not None or overrides:
            raise click.UsageError("--config and --set do not go with --url")
        return by_url(url)
    from tie_forwarder.config import load

    return by_config(load(config, overrides=overrides))


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console

    from tie_forwarder.cli.status_text import lines

    terminal = sys.stdout.isatty()
    console = Console(highlight=False, width=None if terminal else _WIDE)
    for line in lines(found):
        console.print(line, soft_wrap=not terminal)


def _watch(report: Callable[[], dict[str, Any]], as_json: bool) -> None:
    from tie_forwarder.demo.interruption import Interruption

    with Interruption() as interruption:
        if sys.stdout.isatty() and not as_json:
            _redraw(report, interruption)
        else:
            _write_on(report, interruption, as_json)


def _redraw(report: Callable[[], dict[str, Any]], interruption: Interruption) -> None:
    from rich.console import Console, Group
    from rich.live import Live

    from tie_forwarder.cli.status_text import lines

    console = Console(highlight=False)
    found = report()
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while not interruption.requested:
            live.update(Group(*lines(found)), refresh=True)
            if not interruption.wait(_BETWEEN_SECONDS):
                found = _again(report, found)
    _print(found)


def _again(report: Callable[[], dict[str, Any]], before: dict[str, Any]) -> dict[str, Any]:
    """The next report; where there is none, the last one stays and says so."""
    try:
        return report()
    except ForwarderError as error:
        problem = {"state": "not_answering", "reason": "not_answering", "detail": str(error), "remedy": ""}
        return {**before, "state": "not_answering", "reason": "not_answering", "problems": [problem]}


def _write_on(report: Callable[[], dict[str, Any]], interruption: Interruption, as_json: bool) -> None:
    from tie_forwarder.cli.status_text import one_line

    found = report()
    while not interruption.requested:
        click.echo(json.dumps(found) if as_json else one_line(found))
        if not interruption.wait(_BETWEEN_SECONDS):
            found = _again(report, found)
