"""`tie-forwarder check`: the effective configuration, one option per line, and every fault with its remedy.

With `--connect`, tries everything the service needs and shows the findings: aligned on a terminal, else as lines or
JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from pydantic import ByteSize, SecretStr

from tie_forwarder.check.findings import AREAS, Finding, State
from tie_forwarder.check.session import Result
from tie_forwarder.cli import config_options
from tie_forwarder.config import Config, ConfigError, Fault, load
from tie_forwarder.config.certificates import certificate_expiry
from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.config.faults import is_shown, leaf_options
from tie_forwarder.config.verification import exposures, verify
from tie_forwarder.errors import ForwarderError
from tie_forwarder.printing import printable

_SIGNS = {State.OK: "✓", State.WARNING: "!", State.FAILED: "✗", State.NOT_TRIED: "-"}
_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "red", State.NOT_TRIED: "bright_black"}
_ASPECT_COLUMNS = 13
_NARROWEST = 40


def as_json(result: Result) -> str:
    """The whole result in one object; `docs/check.md` describes it."""
    counts = {state.value.replace(" ", "_"): result.count(state) for state in State}
    findings = [finding.as_json() for finding in result.findings]
    document = {"works": result.works, "exit_code": result.exit_code, "counts": counts, "findings": findings}
    return json.dumps(document, indent=2)


def as_lines(result: Result) -> Iterator[str]:
    """One line for each finding, for a file or a pipe."""
    for finding in result.findings:
        remedy = f"; remedy: {finding.remedy}" if finding.remedy else ""
        text = f"{finding.subject}: {finding.found}{remedy}"
        yield printable(f"{finding.state.value:<9}  {finding.code:<22}  {text}")
    yield verdict(result)


def as_page(result: Result, *, columns: int) -> Iterator[str]:
    """For a terminal of so many columns: by area and subject, wrapped."""
    for area, findings in groupby(result.findings, key=lambda finding: finding.area):
        yield click.style(AREAS[area], bold=True)
        for subject, lines in groupby(findings, key=lambda finding: finding.subject):
            yield f"  {printable(subject)}"
            for untried, run in groupby(lines, key=_why_untried):
                show = _untried if untried else _each
                yield from show(list(run), columns)
        yield ""
    colour = "green" if result.works else "red"
    for line in textwrap.wrap(verdict(result), max(columns, _NARROWEST)):
        yield click.style(line, fg=colour, bold=True)


def _why_untried(finding: Finding) -> str:
    """Lines that were not tried for one reason are shown as one."""
    return finding.found if finding.state is State.NOT_TRIED and not finding.remedy else ""


def _untried(findings: Sequence[Finding], columns: int) -> Iterator[str]:
    if len(findings) == 1:
        yield from _wrapped(findings[0], columns)
        return
    sign = click.style(_SIGNS[State.NOT_TRIED], fg=_COLOURS[State.NOT_TRIED], bold=True)
    text = f"not tried, {findings[0].found}: {', '.join(map(_aspect, findings))}"
    first, *rest = textwrap.wrap(printable(text), max(columns - 6, _NARROWEST))
    yield f"    {sign} {click.style(first, dim=True)}"
    for line in rest:
        yield f"      {click.style(line, dim=True)}"


def _each(findings: Sequence[Finding], columns: int) -> Iterator[str]:
    for finding in findings:
        yield from _wrapped(finding, columns)


def _aspect(finding: Finding) -> str:
    return finding.code.partition(".")[2].replace("_", " ")


def verdict(result: Result) -> str:
    """The last line: what it all means."""
    says = "the service would work" if result.works else "the service would not work"
    states = (State.FAILED, State.NOT_TRIED, State.WARNING)
    counts = [_counted(result, state) for state in states if result.count(state)]
    return f"{says}: {', '.join(counts)}" if counts else says


def _counted(result: Result, state: State) -> str:
    count = result.count(state)
    if state is State.FAILED:
        codes = dict.fromkeys(finding.code for finding in result.findings if finding.state is state)
        return f"{count} failed ({', '.join(codes)})"
    return f"{count} warnings" if state is State.WARNING and count != 1 else f"{count} {state.value}"


def _wrapped(finding: Finding, columns: int) -> Iterator[str]:
    colour, aspect = _COLOURS[finding.state], _aspect(finding)
    indent = " " * (6 + _ASPECT_COLUMNS)
    width = max(columns - len(indent), _NARROWEST)
    first, *rest = textwrap.wrap(printable(finding.found), width, break_long_words=False) or [""]
    sign = click.style(_SIGNS[finding.state], fg=colour, bold=True)
    dimmed = finding.state is State.NOT_TRIED
    yield f"    {sign} {aspect:<{_ASPECT_COLUMNS}}{click.style(first, dim=dimmed)}"
    for line in rest:
        yield f"{indent}{click.style(line, dim=dimmed)}"
    if finding.remedy:
        for line in textwrap.wrap(printable(f"remedy: {finding.remedy}"), width, break_long_words=False):
            yield f"{indent}{click.style(line, fg=colour)}"


_TRIAL_SECONDS = 10.5
"""Of the fifteen that are promised: an interpreter must start and end within them, too."""

_LOADING_SECONDS = 3.0


@click.command
@click.option("--connect", is_flag=True, help="Try everything that the service needs, once. Changes nothing.")
@click.option("--create-topics", is_flag=True, help="With --connect: make the topics that are missing in Kafka.")
@click.option("--json", "as_document", is_flag=True, help="With --connect: print one JSON object.")
@config_options
def check(
    connect: bool, create_topics: bool, as_document: bool, config: Path | None, overrides: Mapping[str, str]
) -> int:
    """Check the configuration and the files that it names.

    Prints every option with its effective value and ends with 78 when there is a fault. Connects to nothing, unless
    --connect says so: then it tries everything that the service needs, beside a running one or before the first, within
    15 seconds, and ends with 0 when the service would work, else with 1, or with 78 when it would not even start.
    """
    if connect:
        return _connect(config, overrides, create_topics=create_topics, as_document=as_document)
    for option, given in {"--create-topics": create_topics, "--json": as_document}.items():
        if given:
            raise click.UsageError(f"{option} goes with --connect")
    loaded = load(config, overrides=overrides)
    faults = verify(loaded)
    click.echo(f"configuration {loaded.file}")
    for line in _option_lines(loaded, faults):
        click.echo(line)
    for line in _certificate_lines(loaded):
        click.echo(line)
    for warning in exposures(loaded):
        click.echo(f"{click.style('warn ', fg='yellow')}  {warning}")
    for fault in faults:
        click.echo(f"{click.style('fault', fg='red', bold=True)}  {fault}", err=True)
    if faults:
        return ConfigError.exit_code
    click.echo("no fault found; nothing was connected to")
    return 0


def _connect(config: Path | None, overrides: Mapping[str, str], *, create_topics: bool, as_document: bool) -> int:
    """One line for each thing that was tried."""

    with _patience():
        result = _tried(config, overrides, create_topics=create_topics)
    if as_document:
        click.echo(as_json(result))
        return result.exit_code
    page = as_page(result, columns=shutil.get_terminal_size().columns) if sys.stdout.isatty() else as_lines(result)
    for line in page:
        click.echo(line)
    return result.exit_code


@contextmanager
def _patience() -> Iterator[None]:
    """Tells a person who waits at a terminal how long that may be; nothing of it stays."""
    shown = sys.stderr.isatty()
    if shown:
        click.echo("trying everything, which takes 15 seconds at most ...", nl=False, err=True)
    try:
        yield
    finally:
        if shown:
            click.echo("\r\x1b[K", nl=False, err=True)


def _tried(config: Path | None, overrides: Mapping[str, str], *, create_topics: bool) -> Result:
    from tie_forwarder.check.disk import bounded
    from tie_forwarder.check.session import Trial, refused, unreadable

    deadline = time.monotonic() + _TRIAL_SECONDS
    try:
        loaded = bounded(lambda: load(config, overrides=overrides), seconds=_LOADING_SECONDS, what="the configuration")
    except ConfigError as error:
        return refused(error.faults)
    except ForwarderError as error:
        return unreadable(str(config or "configuration"), error)
    return Trial(loaded, create_topics=create_topics, deadline=deadline).run()


def _option_lines(config: Config, faults: Sequence[Fault]) -> Iterator[str]:
    names = {".".join(option) for option in leaf_options()}
    faulty = {fault.field if fault.field in names else "dxl.config_file" for fault in faults}
    for option in leaf_options():
        name = ".".join(option)
        mark = click.style("fault", fg="red") if name in faulty else click.style("ok   ", fg="green")
        value: Any = config
        for part in option:
            value = getattr(value, part)
        origin = click.style(f"  ({config.place_of(name) or 'default'})", dim=True)
        # A password in place of the name of its file must not be shown.
        text = "set, not shown" if name in faulty and not is_shown(option) else _shown(value)
        yield f"{mark}  {name} = {text}{origin}"


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, SecretStr):
        return "set, not shown"
    if isinstance(value, bool | float):
        return f"{value:g}" if isinstance(value, float) else str(value).lower()
    if isinstance(value, ByteSize):
        return value.human_readable()
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_unless_url(inner)}" for name, inner in value.items()) or "none"
    return str(value)


def _unless_url(value: Any) -> str:
    """A proxy's URL may hold a password."""
    return "set, not shown" if "@" in str(value) else str(value)


def _certificate_lines(config: Config) -> Iterator[str]:
    fabric = FabricFile(file=config.dxl.config_file, place="")
    paths = {
        "DXL client": fabric.certificate("CertFile"),
        "DXL brokers": fabric.certificate("BrokerCertChain"),
        "Kafka client": config.kafka.security.certificate_file,
        "Kafka brokers": config.kafka.security.ca_file,
        "schema registry": config.kafka.schema_registry.ca_file,
    }
    for role, path in paths.items():
        if path is None:
            continue
        try:
            mark = click.style("date ", fg="cyan")
            yield f"{mark}  {role}: {path} is valid until {certificate_expiry(path):%Y-%m-%d}"
        except ForwarderError:
            continue  # it is among the faults
