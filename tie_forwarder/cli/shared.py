"""What several commands share: `--since`, new files for their owner only, and progress on standard error."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import click

from tie_forwarder.errors import ForwarderError

if TYPE_CHECKING:
    from types import TracebackType


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


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """The open file. ForwarderError where it exists, or cannot be made or written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
    except OSError as error:
        remedy = "name a file that does not exist, in a directory that this user may write"
        raise ForwarderError(f"--output {path}: {error.strerror or error}", remedy=remedy) from error


_BETWEEN_LINES_SECONDS = 5.0


class Progress(Protocol):
    """Shows one step after the other; a context manager."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def begin(self, what: str, total: int) -> None:
        """A new step, of so many pieces."""

    def left(self, count: int) -> None:
        """So many pieces of the step are left."""

    def say(self, text: str) -> None:
        """A line that stays; the text is fit for a terminal."""


def progress() -> Progress:
    """What fits standard error."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return Bar(console) if console.is_terminal else Lines()


class Bar:
    """On a terminal."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = RichProgress(*columns, console=console, transient=True)
        self._task: Any = None
        self._total = 0

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, what: str, total: int) -> None:
        """A new bar in the place of the last one."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._total = total
        self._task = self._bar.add_task(what, total=total)

    def left(self, count: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=self._total - count)

    def say(self, text: str) -> None:
        """A line above the bar."""
        from rich.text import Text

        self._bar.console.print(Text(text), soft_wrap=True)


class Lines:
    """Where nobody watches a bar: a line at the start of each step, and one every five seconds."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._what = ""
        self._total = 0
        self._said_at = 0.0

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def begin(self, what: str, total: int) -> None:
        """Says what begins."""
        self._what, self._total = what, total
        self.say(f"{what}: {total}")

    def left(self, count: int) -> None:
        """Says how far it is, if it has not just done so."""
        if count and self._monotonic() - self._said_at >= _BETWEEN_LINES_SECONDS:
            self.say(f"{self._what}: {self._total - count} of {self._total}")

    def say(self, text: str) -> None:
        """A line."""
        self._said_at = self._monotonic()
        click.echo(text, err=True)
