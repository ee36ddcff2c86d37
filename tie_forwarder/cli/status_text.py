"""A report of /status as lines for a terminal: the state and what to do first, then the flow, then the rest.

Every text may have come from an enemy, so nothing of it reaches a terminal but printable.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tie_forwarder import status_words as words
from tie_forwarder.page.flow import figures_of
from tie_forwarder.printing import printable

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {"ok": "green", "idle": "blue", "waiting": "cyan", "attention": "yellow", "fault": "red"}
_MARKS = {"ok": "ok", "idle": "--", "waiting": "..", "attention": "!!", "fault": "XX"}
"""The health beside its colour, for who sees none."""

_LONGEST_TEXT = 400
_LETTERS = 3


def lines(status: dict[str, Any]) -> list[Text]:
    """The whole report."""
    found = [*_state(status), _line()]
    if "parts" in status:
        found += [*_flow(status), _line(), *_rates(status), _line()]
    found += [*_spool(status)]
    if "parts" in status:
        found += [*_certificates(status), *_group(status), *_letters(status)]
    return found


def one_line(status: dict[str, Any]) -> str:
    """The report in a line: when, the state, its reason, and what moves."""
    said = [status["now"], status["state"]]
    if status["reason"] != status["state"]:
        said.append(status["reason"])
    if "rates" in status:
        now = status["rates"]["now"]
        said += [f"{name} {''.join(words.rate(now[name], now['seconds']))}" for name in ("received", "published")]
    events = status["spool"]["events"]
    said.append(f"in spool {'unknown' if events is None else words.number(events)}")
    return printable("  ".join(said))


def _line(*parts: tuple[str, str] | str) -> Text:
    from rich.text import Text

    line = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        shown = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
        line.append(printable(shown), style)
    return line


def _field(name: str, *parts: tuple[str, str] | str) -> Text:
    return _line((f"  {name:<14}", "dim"), *parts)


def _state(status: dict[str, Any]) -> Iterator[Text]:
    state, reason = status["state"], status["reason"]
    style = f"bold {_STYLES[words.tone(state, reason)]}"
    yield _line((words.title(state, reason), style), "  ", words.meaning(state, reason))
    for problem in status["problems"]:
        yield _field("reason", (problem["reason"], "bold"), "  ", problem["detail"])
        if problem["remedy"]:
            yield _field("to do", (problem["remedy"], "bold"))
    length = words.seconds_between(status["since"], status["now"])
    if length is not None:
        yield _field("since", f"{words.clock(status['since'])}, for {words.span(length)}")


def _flow(status: dict[str, Any]) -> Iterator[Text]:
    figures = figures_of(status)
    for part in status["parts"]:
        style = _STYLES.get(part["health"], "")
        figure = figures[part["name"]]
        value = f"{figure.value}{' ' if figure.unit == 's' else ''}{figure.unit}"
        yield _line(
            (f"  {_MARKS.get(part['health'], '??')} ", style),
            f"{words.PART_NAMES.get(part['name'], part['name']):<11} ",
            (f"{part['word']:<22}", style),
            f"{value:>10} ",
            (figure.caption, "dim"),
        )


def _rates(status: dict[str, Any]) -> Iterator[Text]:
    rates = status["rates"]
    hour, day = rates["last_hour"]["seconds"], rates["last_day"]["seconds"]
    names = ("now", _window("hour", hour, 3_600), _window("day", day, 86_400))
    yield _line((f"  {'':<14}{names[0]:>12}{names[1]:>18}{names[2]:>18}", "dim"))
    for count, name in words.COUNT_NAMES.items():
        now = "".join(words.rate(rates["now"][count], rates["now"]["seconds"]))
        style = "bold red" if count == "dropped" and rates["last_day"][count] else ""
        cells = f"{words.number(rates['last_hour'][count]):>18}{words.number(rates['last_day'][count]):>18}"
        yield _line((f"  {name:<14}", "dim"), (f"{now:>12}{cells}", style))


def _window(name: str, seconds: float, whole: int) -> str:
    return f"last {name}" if seconds >= whole else f"last {words.span(seconds)}"


def _spool(status: dict[str, Any]) -> Iterator[Text]:
    spool = status["spool"]
    if "directory" in spool:
        yield _field("spool", spool["directory"])
    waits = words.seconds_between(spool["oldest_received_at"], status["now"])
    events = "cannot be read" if spool["events"] is None else f"{words.number(spool['events'])} events"
    oldest = "" if waits is None else f", the oldest for {words.span(waits)}"
    yield _field("in spool", f"{events}{oldest}, {words.size(spool['bytes'])} of {words.size(spool['limit_bytes'])}")
    if spool.get("full_in_seconds") is not None:
        yield _field("full", f"in {words.span(spool['full_in_seconds'])} at this rate")
    if spool.get("damaged"):
        yield _field("set aside", ", ".join(spool["damaged"]))


def _certificates(status: dict[str, Any]) -> Iterator[Text]:
    for certificate in status["certificates"]:
        left, health = words.days_left(certificate["days_left"])
        role = words.CERTIFICATE_NAMES.get(certificate["role"], certificate["role"])
        file = (f"  {PurePath(certificate['file']).name}", "dim")
        yield _field("certificate", f"{role}: ", (left, _STYLES[health]), file)


def _group(status: dict[str, Any]) -> Iterator[Text]:
    group = status["group"]
    role = words.ROLE_NAMES.get(group["role"], group["role"])
    takeovers = ", ".join(f"{count} {reason}" for reason, count in group["takeovers"].items()) or "none"
    others = [member["name"] for member in group["members"] if member["name"] != group["member"]]
    seen = f"; seen: {', '.join(others)}" if others else ""
    yield _field("group", f"{group['name']}: {group['member']} {role}; take-overs: {takeovers}{seen}")
    balance = status["ledger"]["imbalance"]
    yield _field("ledger", ("balanced", "green") if not balance else (f"out by {balance}", "bold red"))


def _letters(status: dict[str, Any]) -> Iterator[Text]:
    letters = status["dead_letters"]
    yield _field("dead letters", f"{words.number(letters['total'])} since the start")
    for letter in letters["last"][:_LETTERS]:
        yield _line("    ", (letter["reason"], "yellow"), f"  {letter['received_at']}  {letter['event_id']}")
        yield _line(f"      {letter['detail']}")
        if letter["first_bytes"] is not None:
            yield _line((f"      {letter['first_bytes'][:100]}", "dim"))
