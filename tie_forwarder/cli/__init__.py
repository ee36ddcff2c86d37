"""The command line: the verbs, the options that they share, and the one place where errors become exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 78 bad configuration; `status` has more. What a person can
mend is one sentence on stderr, never a traceback. Each verb is a module that is loaded only when it is called.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from tie_forwarder.cli.streams import OutputError, discard_output
from tie_forwarder.cli.verbs import LazyGroup
from tie_forwarder.errors import ForwarderError
from tie_forwarder.printing import printable_lines

_FAILED = 1
_INTERRUPTED = 130

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from tie_forwarder.cli.version import version_lines

        click.echo("\n".join(version_lines()))
        context.exit()


def _as_overrides(_: click.Context, __: click.Parameter, settings: Sequence[str]) -> dict[str, str]:
    overrides = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            # Without what was given: it may be a secret.
            raise click.BadParameter("one is not NAME=VALUE, as in kafka.key=sha256")
        overrides[name] = value
    return overrides


def config_options(command: _Command) -> _Command:
    """Gives a verb `--config` and `--set`, which it takes as `config: Path | None` and `overrides: dict[str, str]`."""
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="Configuration file.  [default: config.yaml, then /etc/tie-forwarder/config.yaml]",
    )
    overrides = click.option(
        "--set",
        "overrides",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_as_overrides,
        help="Override an option, as in kafka.key=sha256. May be repeated; other users of the machine can see it.",
    )
    return config(overrides(command))


class FiniteRange(click.FloatRange):
    """Click's range, without infinity and what is not a number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; wrong usage where it is not a finite one."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Count(click.IntRange):
    """A whole number from 1 on, cut to what Python can count in a collection."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        return min(super().convert(value, param, ctx), sys.maxsize)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show versions."
)
def command_line() -> None:
    """Forwards TIE events from an OpenDXL fabric to Apache Kafka."""


def invoke(arguments: Sequence[str]) -> int:
    """Runs one verb and returns the exit code of the process."""
    try:
        result = command_line.main(args=list(arguments), prog_name="tie-forwarder", standalone_mode=False)
        sys.stdout.flush()
    except OutputError as error:
        discard_output()
        if error.reader_is_gone:
            return 0
        click.echo(str(error), err=True)
        return _FAILED
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(shown.getvalue().rstrip("\n"), err=True)
        return error.exit_code
    except click.Abort:
        return _INTERRUPTED
    except OSError as error:
        reason = error.strerror or str(error)
        click.echo(printable_lines(reason if error.filename is None else f"{error.filename}: {reason}"), err=True)
        return _FAILED
    except ForwarderError as error:
        click.echo(printable_lines(str(error)), err=True)
        # A bad configuration brings its own code; its class is not named here, since that would load the models.
        code: int = getattr(error, "exit_code", _FAILED)
        return code
    return result if isinstance(result, int) else 0
