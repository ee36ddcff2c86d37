"""`tie-forwarder status`: the state of a forwarder, from itself or, if it is down, from its spool."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, urlsplit

import click

from tie_forwarder.cli import config_options
from tie_forwarder.cli.daemon import ask
from tie_forwarder.config import Config
from tie_forwarder.config.address import Address
from tie_forwarder.errors import ForwarderError
from tie_forwarder.http.page.document import figures_of
from tie_forwarder.printing import printable
from tie_forwarder.spool.inspect import Glance, glance
from tie_forwarder.status import wording as words
from tie_forwarder.status.wording import timestamp

if TYPE_CHECKING:
    from rich.text import Text

    from tie_forwarder.interruption import Interruption


Report = dict[str, Any]

_MOST_BYTES = 4 * 1024 * 1024
_PORTS = {"http": 80, "https": 443}


def by_url(url: str) -> Callable[[], Report]:
    """Asks whoever listens there. ForwarderError when it gives no report, since its spool may be anywhere."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts, port = SplitResult("", "", "", "", ""), 0
    if not port or not parts.hostname:
        raise ForwarderError(f"{url!r} is no address of a forwarder", remedy="give it as in http://127.0.0.1:9469")
    address, tls = Address(parts.hostname, port), parts.scheme == "https"
    path = f"{parts.path.rstrip('/').removesuffix('/status')}/status"
    return lambda: _answered(address, path=path, tls=tls)


def by_config(config: Config) -> Callable[[], Report]:
    """Asks where the configuration says and, where nobody answers, looks at the spool."""

    def report() -> Report:
        address = config.http.address
        if address is None or address.port == 0:
            return from_spool(config, "http.listen gives no address to ask")
        try:
            return _answered(address)
        except ForwarderError as error:
            return from_spool(config, error.message)

    return report


def from_spool(config: Config, silence: str) -> Report:
    """What can be known of a forwarder that gives no answer; `silence` says how it does not."""
    seen = glance(config.spool.directory)
    running = seen.holder is not None
    state = "not_answering" if running else "not_running"
    remedy = f"see the log of process {seen.holder}" if running else "start it: tie-forwarder run, or its service"
    problems = [{"state": state, "reason": state, "detail": silence, "remedy": remedy}, *_problems_of(seen)]
    return {
        "state": state,
        "reason": state,
        "since": None,
        "remedy": remedy,
        "problems": problems,
        "process": seen.holder,
        "spool": {
            "directory": str(config.spool.directory),
            "events": seen.events,
            "bytes": seen.bytes,
            "limit_bytes": int(config.spool.max_bytes),
            "when_full": config.spool.when_full,
            "oldest_received_at": None
            if seen.oldest_received_at_ms is None
            else timestamp(seen.oldest_received_at_ms / 1000),
            "damaged": list(seen.damaged),
        },
        "now": timestamp(time.time()),
    }


def _problems_of(seen: Glance) -> list[dict[str, str]]:
    if not seen.trouble:
        return []
    unread = seen.events is None
    reason = "spool_unreadable" if unread else "spool_suspect"
    remedy = "see the rights on the directory and its file" if unread else "none: the next start mends it"
    return [{"state": "degraded", "reason": reason, "detail": seen.trouble, "remedy": remedy}]


def _answered(address: Address, *, path: str = "/status", tls: bool = False) -> Report:
    status, text = ask(address, path, most_bytes=_MOST_BYTES, tls=tls)
    where = f"{address}{path}"
    if status == 403:
        remedy = "ask by its IP address, or add the name to http.allowed_hosts there"
        raise ForwarderError(f"{where} does not answer to this host name", remedy=remedy)
    if status != 200:
        raise ForwarderError(f"{where} answered {status}", remedy="is it the address of a forwarder?")
    try:
        report = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ForwarderError(f"{where} answered no JSON", remedy="is it the address of a forwarder?") from error
    if not _can_be_shown(report):
        raise ForwarderError(
            f"{where} answered, but not as a forwarder of this version", remedy="use the `status` that it came with"
        )
    return cast(Report, report)


def _can_be_shown(report: object) -> bool:
    """Whether it is a report: all that is shown of one is in it, with values that can be shown."""

    if not isinstance(report, dict) or not {"state", "parts", "rates", "dead_letters"} <= report.keys():
        return False
    try:
        lines(report)
        one_line(report)
    except Exception:  # noqa: BLE001 - anybody may have written it, with any value in any place
        return False
    return isinstance(report["state"], str)


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

    if url is not None:
        if config is not None or overrides:
            raise click.UsageError("--config and --set do not go with --url")
        return by_url(url)
    from tie_forwarder.config import load

    return by_config(load(config, overrides=overrides))


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    console = Console(highlight=False, width=None if terminal else _WIDE)
    for line in lines(found):
        console.print(line, soft_wrap=not terminal)


def _watch(report: Callable[[], dict[str, Any]], as_json: bool) -> None:
    from tie_forwarder.interruption import Interruption

    with Interruption() as interruption:
        if sys.stdout.isatty() and not as_json:
            _redraw(report, interruption)
        else:
            _write_on(report, interruption, as_json)


def _redraw(report: Callable[[], dict[str, Any]], interruption: Interruption) -> None:
    from rich.console import Console, Group
    from rich.live import Live

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

    found = report()
    while not interruption.requested:
        click.echo(json.dumps(found) if as_json else one_line(found))
        if not interruption.wait(_BETWEEN_SECONDS):
            found = _again(report, found)
