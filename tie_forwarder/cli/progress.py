"""How far a verb has come: a bar on a terminal, a line now and then otherwise; always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from types import TracebackType

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
