"""The findings of a trial, shown: on a terminal aligned, with colours and signs, else a line each, or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from tie_forwarder.printing import printable
from tie_forwarder.trial.finding import Finding, State
from tie_forwarder.trial.lines import AREAS
from tie_forwarder.trial.session import Result

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
