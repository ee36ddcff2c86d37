"""The verbs by name, and the group that loads each one only when it is called.

The summaries stand here as well, so that `--help` loads no verb at all.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem


class Verb(NamedTuple):
    """Where a verb's command is (`module:attribute`), and what `--help` says of it."""

    target: str
    summary: str


VERBS = {
    "run": Verb("tie_forwarder.cli.run:run", "Forward events until told to stop."),
    "check": Verb("tie_forwarder.cli.check:check", "Check the configuration and the files that it names."),
    "status": Verb("tie_forwarder.cli.status:status", "Show how a running forwarder is, and what to do."),
    "spool": Verb("tie_forwarder.cli.spool:spool", "Look into a spool, check it, export it, repair it."),
    "tail": Verb("tie_forwarder.cli.tail:tail", "Print events as they arrive from the fabric."),
    "simulate": Verb("tie_forwarder.cli.simulate:simulate", "Publish events to a fabric."),
    "find": Verb("tie_forwarder.cli.find:find", "Say where an event is."),
    "dead-letters": Verb("tie_forwarder.cli.dead_letters:dead_letters", "List dead letters, or show one."),
    "replay": Verb("tie_forwarder.cli.replay:replay", "Publish dead letters that are valid now."),
    "decode": Verb("tie_forwarder.cli.decode:decode", "Show what would become of a payload."),
    "schema": Verb("tie_forwarder.cli.schema:schema", "Print the JSON Schema of an event."),
    "demo": Verb("tie_forwarder.cli.demo:demo", "Run everything on this machine, with embedded servers."),
    "healthcheck": Verb("tie_forwarder.cli.healthcheck:healthcheck", "Ask a running forwarder whether it is well."),
    "completion": Verb("tie_forwarder.cli.completion:completion", "Print the completion script of a shell."),
    "version": Verb("tie_forwarder.cli.version:version", "Show the versions of everything involved."),
}


class LazyGroup(click.Group):
    """A group whose commands are `VERBS`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the verb."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # That of standard output is an `OutputError`. Click would end this one as if nothing had been.
            raise RuntimeError("a pipe inside the forwarder broke") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name].target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """As click's own, which would load every verb at each press of the tab key."""
        verbs = [CompletionItem(name, help=VERBS[name].summary) for name in VERBS if name.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])
