"""`--since`: a moment, as a person gives it."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import click

_SPAN = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def moment(text: str) -> int:
    """Milliseconds since the epoch, of a date, a time in RFC 3339 (UTC where it has no zone) or a span until now.

    What is before the epoch counts as the epoch.

    Raises ValueError, which names these forms.
    """
    if span := _SPAN.fullmatch(text):
        return max(0, int((time.time() - int(span[1]) * _SECONDS[span[2]]) * 1000))
    try:
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        forms = "neither a span such as 90m, 12h or 7d nor a time such as 2026-11-24T06:30:00Z"
        raise ValueError(f"{text!r} is {forms}") from None
    return max(0, int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000))


def as_moment(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """The callback of an option that takes a moment."""
    try:
        return None if text is None else moment(text)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error)) from None


def selection_options(command: Any) -> Any:
    """Gives a verb `--since` and `--reason`, which it takes as `since: int | None` and `reasons: Sequence[str]`."""
    from tie_forwarder.events.reasons import Reason

    since = click.option(
        "--since",
        metavar="TIME",
        callback=as_moment,
        help="Only what was received since then: 90m, 12h, 7d, 2026-11-24 or 2026-11-24T06:30:00Z.",
    )
    reasons = click.option(
        "--reason",
        "reasons",
        type=click.Choice([reason.value for reason in Reason]),
        metavar="CODE",
        multiple=True,
        help="Only what is dead for this reason. May be repeated.",
    )
    return since(reasons(command))
