"""The man page tie-forwarder(1), made from the command line itself.

Owns: the text around the verbs (exit codes, signals, files), and roff. Must not: say anything of a verb or an option
that its `--help` does not say.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence

import click

from tie_forwarder import __version__
from tie_forwarder.cli import command_line

PROGRAM = "tie-forwarder"
DATE = "2026-11-24"
"""When the words of this module were last changed."""

_EXIT_CODES = {
    "0": "Done.",
    "1": "Failed; one sentence on standard error says why.",
    "2": "Wrong usage.",
    "3 to 6": "Of status alone: not running, buffering, blocked, degraded.",
    "7": "Of spool alone: something is damaged.",
    "8": "Of find alone: the event is nowhere.",
    "70": "A loop of the daemon stood still; the service manager is to start it again.",
    "78": "Bad configuration; every fault stands with its remedy on standard error.",
    "130": "A verb was interrupted by Ctrl-C.",
}
_SIGNALS = {
    "SIGTERM, SIGINT": "The daemon receives no more, publishes what it has for at most shutdown.drain_seconds and ends "
    "with 0. A second one stops at once. The spool keeps the rest either way.",
    "SIGHUP": "The daemon reads configuration, filter lists, certificates and secrets again.",
}
_FILES = {
    "config.yaml": "The configuration, looked for here when --config is not given.",
    "/etc/tie-forwarder/config.yaml": "The configuration, looked for here next.",
    "/var/lib/tie-forwarder/spool": "The spool, where the service keeps it (spool.directory).",
}
_ENVIRONMENT = {
    "TIE_FORWARDER_<SECTION>__<OPTION>": "Overrides an option of the configuration, as in "
    "TIE_FORWARDER_KAFKA__BOOTSTRAP_SERVERS. --set overrides both.",
}
_WIDTH = 70


def manual() -> str:
    """The whole page. Always the same for the same command line and version."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield f".\\\" Made by `make shipped` from tie-forwarder's command line; changes belong there.\n.{_head()}"
    yield ".SH NAME"
    yield f"{_text(PROGRAM)} \\- {_text(_summary(command_line))}"
    yield ".SH SYNOPSIS"
    yield f".B {_text(PROGRAM)}\n.I COMMAND\n[\\fIOPTION\\fR ...]"
    yield ".SH DESCRIPTION"
    yield _text(
        "A daemon that subscribes to the events of McAfee/Trellix Threat Intelligence Exchange (TIE) on an OpenDXL "
        "fabric, file detections above all, and publishes each to an Apache Kafka topic. It keeps every event in a "
        "spool on the disk until Kafka has it."
    )
    context = click.Context(command_line, info_name=PROGRAM, **command_line.context_settings)
    yield from _options(command_line.get_params(context), context)
    yield ".SH COMMANDS"
    yield from _verbs(command_line, context)
    yield from _definitions("EXIT STATUS", _EXIT_CODES)
    yield from _definitions("SIGNALS", _SIGNALS)
    yield from _definitions("ENVIRONMENT", _ENVIRONMENT)
    yield from _definitions("FILES", _FILES)
    yield ".SH EXAMPLES"
    yield ".EX"
    for line in (
        "tie-forwarder check --connect --config /etc/tie-forwarder/config.yaml",
        "tie-forwarder run --config /etc/tie-forwarder/config.yaml",
        "tie-forwarder decode payload.json",
    ):
        yield _text(line)
    yield ".EE"
    yield ".SH SEE ALSO"
    yield ".BR systemctl (1),\n.BR journalctl (1)"


def _head() -> str:
    return f'TH {_text(PROGRAM.upper())} 1 "{DATE}" "{_text(PROGRAM)} {__version__}" "User Commands"'


def _verbs(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from _verb(command, click.Context(command, info_name=name, parent=context))


def _verb(command: click.Command, context: click.Context) -> Iterator[str]:
    _, _, name = context.command_path.partition(" ")
    yield f".SS {_text(name)}"
    yield f".B {_text(context.command_path)}"
    yield _text(" ".join(command.collect_usage_pieces(context)))
    for paragraph in _paragraphs(command):
        yield ".PP"
        yield _text(paragraph)
    yield from _options(command.params, context)
    if isinstance(command, click.Group):
        yield from _verbs(command, context)


def _options(parameters: Sequence[click.Parameter], context: click.Context) -> Iterator[str]:
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield f".TP\n\\fB{_text(record[0])}\\fR"
            yield _text(record[1])


def _definitions(heading: str, entries: dict[str, str]) -> Iterator[str]:
    yield f".SH {heading}"
    for term, meaning in entries.items():
        yield f".TP\n.B {_text(term)}"
        yield _text(meaning)


def _summary(command: click.Command) -> str:
    return command.get_short_help_str(limit=200).rstrip(".")


def _paragraphs(command: click.Command) -> Sequence[str]:
    text = inspect.cleandoc(command.help or "")
    return [re.sub(r"\s+", " ", paragraph).strip() for paragraph in text.split("\n\n")]


def _text(text: str) -> str:
    """The text as roff: each sentence begins a line, and nothing in it is taken for a request."""
    sentences = re.split(r"(?<=[a-z0-9)\]][.:]) +(?=[A-Z])", re.sub(r"\s+", " ", text))
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, _WIDTH, break_on_hyphens=False)]
    return "\n".join(_escaped(line) for line in lines)


def _escaped(line: str) -> str:
    escaped = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[0] in ".'" else escaped
