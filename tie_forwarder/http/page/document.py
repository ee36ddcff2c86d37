"""The status page as HTML: state, flow, cards and drawings, and the policy the browser enforces.

Text that is not `Markup` comes from outside and is escaped in one place.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeAlias

from tie_forwarder.printing import printable
from tie_forwarder.status import wording as words

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_LONGEST_TEXT = 600
_VOID = frozenset({"meta", "link", "use", "rect", "path", "circle"})


class Markup(str):
    """Text that is HTML already. Only this package makes it, of names that are its own."""

    __slots__ = ()


Child: TypeAlias = "str | int | Iterable[Child] | None"
"""What may stand in an element; `None` is nothing."""


def text(value: str | int) -> str:
    """The value for content and attributes: cut where it is out of all proportion, and escaped so that it is inert.

    What is not printable, as controls and the marks that turn the direction of writing, is shown by its code.
    """
    if isinstance(value, Markup):
        return value
    found = str(value)
    if len(found) > _LONGEST_TEXT:
        found = f"{found[:_LONGEST_TEXT]}\u2026"
    return printable(found).translate(_ESCAPES)


def element(name: str, /, *children: Child, **attributes: str | int | None) -> Markup:
    """An element. `class_` is the attribute `class`, `data_part` is `data-part`; an attribute that is None is left out.

    Names of elements and attributes are ours, never from outside.
    """
    head = "".join(
        f' {attribute.rstrip("_").replace("_", "-")}="{text(value)}"'
        for attribute, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{head}/>")
    return Markup(f"<{name}{head}>{''.join(map(_content, children))}</{name}>")


def _content(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int):
        return text(child)
    return "".join(map(_content, child))


_SHAPES = {
    "ok": '<circle cx="8" cy="8" r="8"/><path class="in" d="M4.2 8.4l2.6 2.6 5-5.4"/>',
    "idle": '<circle class="ring" cx="8" cy="8" r="7"/><path class="line" d="M6.2 5.2v5.6M9.8 5.2v5.6"/>',
    "waiting": '<circle class="ring dashed" cx="8" cy="8" r="7"/><path class="line" d="M8 4.4V8l2.4 1.8"/>',
    "attention": '<path d="M8 .6 16 15.4H0Z"/><path class="in" d="M8 6v4.2M8 12.4v.4"/>',
    "fault": '<path d="M4.7 0h6.6L16 4.7v6.6L11.3 16H4.7L0 11.3V4.7Z"/><path class="in" d="M5 5l6 6M11 5l-6 6"/>',
}
_ARROW = "M0 6h20M16 2l4 4-4 4"

_ICON_COLOURS = {"ok": "1a7f4b", "idle": "3b6ea8", "waiting": "6b7684", "attention": "d08700", "fault": "c4291c"}
_CURVE_HEIGHT = 40
_BAR_WIDTH = 5


def symbols() -> Markup:
    """The shapes, defined once; `mark` refers to them."""
    found = "".join(f'<symbol id="{name}" viewBox="0 0 16 16">{shape}</symbol>' for name, shape in _SHAPES.items())
    return Markup(f'<svg class="hidden" aria-hidden="true">{found}</svg>')


def mark(health: str) -> Markup:
    """The sign of a health, to stand beside its word."""
    known = health if health in _SHAPES else "waiting"
    return element("svg", element("use", href=f"#{known}"), class_="mark", aria_hidden="true")


def icon(health: str) -> str:
    """The page's icon in the browser's tab, as an address that needs no request."""
    colour = _ICON_COLOURS.get(health, _ICON_COLOURS["waiting"])
    shape = _SHAPES.get(health, _SHAPES["waiting"]).split("/>")[0].replace('"', "'").replace("<", "%3C")
    drawn = f"{shape} fill='%23{colour}'/%3E"
    return f"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E{drawn}%3C/svg%3E"


def arrow(*, flows: bool) -> Markup:
    """From one part to the next; it moves while events do."""
    drawn = element("svg", element("path", d=_ARROW), viewBox="0 0 20 12", aria_hidden="true")
    return element("span", drawn, class_="arrow flows" if flows else "arrow")


def gauge(share: float, health: str) -> Markup:
    """How much of the room is taken, from 0 to 1."""
    width = min(100.0, max(0.0, 100 * share))
    filled = element("rect", width=f"{width:.1f}%", height="100%", class_=f"fill {health}")
    return element("svg", element("rect", width="100%", height="100%"), filled, class_="gauge", aria_hidden="true")


def bars(counts: Sequence[int], *, most: int, room: int) -> Markup:
    """One bar for each minute, the newest at the right; `most` is the count that reaches the top."""
    first = room - len(counts)
    drawn = []
    for place, count in enumerate(counts):
        if count:
            height = max(1.0, _CURVE_HEIGHT * count / max(1, most))
            drawn.append(f"M{(first + place) * _BAR_WIDTH + 2} {_CURVE_HEIGHT}v-{height:.1f}")
    box = f"0 0 {room * _BAR_WIDTH} {_CURVE_HEIGHT}"
    return element(
        "svg", element("path", d=Markup("".join(drawn))), viewBox=box, preserveAspectRatio="none", class_="bars",
        aria_hidden="true",
    )  # fmt: skip


def banner(status: dict[str, Any]) -> Markup:
    """The banner, and below it whatever else is wrong."""
    state, reason = status["state"], status["reason"]
    tone = words.tone(state, reason)
    head = element(
        "div",
        mark(tone),
        element("h1", words.title(state, reason), role="status"),
        element("p", words.meaning(state, reason), class_="meaning"),
        class_="state",
    )
    facts = element("dl", *_facts(status))
    return element("section", head, facts, _others(status), class_=f"banner {tone}", aria_label="State")


def _facts(status: dict[str, Any]) -> Iterator[Markup]:
    since, now = status["since"], status["now"]
    ago = words.seconds_between(since, now)
    moment = element("time", words.clock(since), datetime=since)
    length = "" if ago is None else element("span", f"for {words.span(ago)}", class_="ago")
    first = next((each for each in status["problems"] if each["reason"] == status["reason"]), None)
    if first is not None:
        yield _row("Reason", element("code", status["reason"]), element("span", first["detail"], class_="detail"))
        yield _row("To do", element("span", _remedy(status), class_="remedy"))
    yield _row("Since", moment, length)


def _row(name: str, *values: Markup | str) -> Markup:
    return element("div", element("dt", name), element("dd", *values))


def _remedy(status: dict[str, Any]) -> str:
    remedy: str = status["remedy"] or "nothing: it goes on by itself"
    return remedy[:1].upper() + remedy[1:]


def _others(status: dict[str, Any]) -> Markup | None:
    found = words.problems_beside_the_first(status)
    if not found:
        return None
    items = [_other(each) for each in found]
    return element("div", element("h2", "Also"), element("ul", items), class_="others")


def _other(problem: dict[str, Any]) -> Markup:
    # What is wrong while all works has the state of what works.
    well = problem["state"] in ("ok", "standby")
    tone = "attention" if well else words.tone(problem["state"], problem["reason"])
    remedy = element("p", "To do: ", problem["remedy"], class_="remedy") if problem["remedy"] else None
    said = element("div", element("code", problem["reason"]), " ", element("span", problem["detail"]), remedy)
    return element("li", mark(tone), said, class_=tone)


_MINUTES = 60
_HOUR_SECONDS = 3_600
_JUST_NOW_SECONDS = 15
_NEARLY_FULL, _FULL = 0.5, 0.9


def cards(status: dict[str, Any]) -> Markup:
    """All of them."""
    found = (_rates(status), _spool(status), _certificates(status), _ledger(status), _group(status), _letters(status))
    return element("div", found, class_="cards")


def _card(title: str, *children: Child, name: str) -> Markup:
    return element("section", element("h2", title), *children, class_=f"card {name}")


def _pairs(pairs: Iterable[tuple[str, Child]]) -> Markup:
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs))


def _rates(status: dict[str, Any]) -> Markup:
    rates = status["rates"]
    # Of a young process the last day is no more than the last hour.
    windows = ["last_hour", "last_day"] if rates["last_day"]["seconds"] > _HOUR_SECONDS else ["last_hour"]
    names = ["now", *(_window(name, rates[name]["seconds"]) for name in windows)]
    head = element("tr", element("td"), *(element("th", name, scope="col") for name in names))
    rows = []
    for count, name in words.COUNT_NAMES.items():
        now = "".join(words.rate(rates["now"][count], rates["now"]["seconds"]))
        cells = [now, *(words.number(rates[window][count]) for window in windows)]
        alarm = "alarm" if count == "dropped" and rates["last_day"][count] else None
        row = element("th", name, scope="row"), *(element("td", cell) for cell in cells)
        rows.append(element("tr", row, class_=alarm))
    table = element("table", element("thead", head), element("tbody", rows))
    return _card("Rates", table, _curves(rates["by_minute"]), name="rates")


def _window(name: str, seconds: float) -> str:
    """How much of the hour or day is known; a young process knows less."""
    whole = seconds >= (_HOUR_SECONDS if name == "last_hour" else 24 * _HOUR_SECONDS)
    return name.replace("_", " ") if whole else f"last {words.span(seconds)}"


def _curves(by_minute: dict[str, list[int]]) -> Markup | None:
    if not by_minute["received"]:
        return None
    most = max([1, *by_minute["received"], *by_minute["published"]])
    curves = [
        element("figure", bars(by_minute[name], most=most, room=_MINUTES), element("figcaption", f"{name} each minute"))
        for name in ("received", "published")
    ]
    return element("div", curves, class_="curves")


def _spool(status: dict[str, Any]) -> Markup:
    spool = status["spool"]
    share = spool["bytes"] / max(1, spool["limit_bytes"])
    health = "fault" if share >= _FULL else "attention" if share >= _NEARLY_FULL else "ok"
    waits = words.seconds_between(spool["oldest_received_at"], status["now"])
    full = spool["full_in_seconds"]
    pairs: list[tuple[str, Child]] = [
        ("Events", words.number(spool["events"])),
        ("Oldest has waited", "\u2013" if waits is None else words.span(waits)),
        ("Room", f"{words.size(spool['bytes'])} of {words.size(spool['limit_bytes'])}, {100 * share:.0f} %"),
        ("Full at this rate", "not in sight" if full is None else f"in {words.span(full)}"),
        ("When full", spool["when_full"].replace("_", " ")),
    ]
    return _card("Spool", gauge(share, health), _pairs(pairs), name="spool")


def _certificates(status: dict[str, Any]) -> Markup:
    rows = []
    for certificate in status["certificates"]:
        left, health = words.days_left(certificate["days_left"])
        role = words.CERTIFICATE_NAMES.get(certificate["role"], certificate["role"])
        file = element("small", PurePath(certificate["file"]).name, title=certificate["file"])
        days = element("td", mark(health), element("b", left), class_=f"left {health}", title=certificate["ends"])
        rows.append(element("tr", element("th", role, file, scope="row"), days))
    body = element("table", element("tbody", rows)) if rows else element("p", "None in use.", class_="none")
    return _card("Certificates", body, name="certificates")


def _group(status: dict[str, Any]) -> Markup:
    group, now = status["group"], status["now"]
    since = words.seconds_between(group["since"], now)
    role = words.ROLE_NAMES.get(group["role"], group["role"])
    takeovers = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in group["takeovers"].items())
    members = [
        element("li", element("span", member["name"]), element("small", _seen(member, group, now)))
        for member in group["members"]
    ]
    pairs: list[tuple[str, Child]] = [
        ("Group", group["name"]),
        ("This member", group["member"]),
        ("Role", (element("span", role), element("small", f"for {words.span(since or 0)}"))),
        ("Take-overs", takeovers or "none"),
        ("Members seen", element("ul", members)),
    ]
    return _card("Group", _pairs(pairs), name="group")


def _seen(member: dict[str, Any], group: dict[str, Any], now: str) -> str:
    this = "this one" if member["name"] == group["member"] else ""
    published = _ago("published", words.seconds_between(member["seen_publishing"], now))
    heard = _ago("heard", words.seconds_between(member.get("heard"), now))
    return ", ".join(filter(None, (this, published, heard)))


def _ago(what: str, seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{what} just now" if seconds < _JUST_NOW_SECONDS else f"{what} {words.span(seconds)} ago"


def _ledger(status: dict[str, Any]) -> Markup:
    ledger = status["ledger"]
    names = {
        "in_spool_at_start": "in the spool at start", "received": "+ received", "published": "\u2212 published",
        "settled": "\u2212 found in Kafka", "filtered": "\u2212 filtered", "duplicate": "\u2212 received twice",
        "dropped": "\u2212 dropped", "in_spool": "\u2212 in the spool now",
    }  # fmt: skip
    rows = [
        element("tr", element("th", words_, scope="row"), element("td", words.number(ledger[name])))
        for name, words_ in names.items()
    ]
    balanced = ledger["imbalance"] == 0
    total = element(
        "tr",
        element("th", mark("ok" if balanced else "fault"), "balanced" if balanced else "does not balance", scope="row"),
        element("td", words.number(ledger["imbalance"])),
        class_="total ok" if balanced else "total fault",
    )
    return _card("Ledger since the start", element("table", element("tbody", rows, total)), name="ledger")


def _letters(status: dict[str, Any]) -> Markup:
    letters = status["dead_letters"]
    if not letters["last"]:
        return _card("Dead letters", element("p", "None since the start.", class_="none"), name="letters")
    items = [_letter(letter) for letter in letters["last"]]
    total = element("p", f"{words.number(letters['total'])} since the start, the newest first", class_="none")
    return _card("Dead letters", total, element("ol", items), name="letters")


def _letter(letter: dict[str, Any]) -> Markup:
    first_bytes = letter["first_bytes"]
    more = "\u2026" if first_bytes is not None and letter["bytes"] > len(first_bytes) else ""
    when = words.clock(letter["received_at"]) if letter["received_at"] else "unknown time"
    return element(
        "li",
        element("p", element("code", letter["reason"], class_="reason"), element("span", when), class_="head"),
        element("p", letter["detail"] or letter["meaning"], class_="detail"),
        None if first_bytes is None else element("pre", f"{first_bytes}{more}"),
        element("p", f"{words.number(letter['bytes'])} bytes, {letter['kind']}, {letter['event_id']}", class_="foot"),
    )


class Figure(NamedTuple):
    """A number that is alive, and what it counts."""

    value: str
    unit: str
    caption: str


def flow(status: dict[str, Any]) -> Markup:
    """The parts in their order; what belongs to this program stands in one frame."""
    figures = figures_of(status)
    fabric, receiver, intake, spool, publisher, kafka = (
        _part(part["name"], part["health"], part["word"], figures[part["name"]], part["detail"])
        for part in status["parts"]
    )
    now = status["rates"]["now"]
    comes, goes = now["received"] > 0, now["published"] > 0
    ours = element(
        "div",
        element("span", "this forwarder", class_="label"),
        receiver, arrow(flows=comes), intake, arrow(flows=comes), spool, arrow(flows=goes), publisher,
        class_="ours",
    )  # fmt: skip
    picture = element("div", fabric, arrow(flows=comes), ours, arrow(flows=goes), kafka, class_="flow")
    return element("section", picture, aria_label="Flow")


def figures_of(status: dict[str, Any]) -> dict[str, Figure]:
    """One live number for each part."""
    rates, spool = status["rates"], status["spool"]
    now, hour = rates["now"], rates["last_hour"]
    came, seconds = now["received"], now["seconds"]
    standby = status["group"]["role"] == "standby"
    answered = status["receiver"]["canary_answered_seconds_ago"]
    left = ("settled", "found in Kafka") if standby else ("published", "published")
    silent = "\u2013" if answered is None else words.number(round(answered, 1))
    return {
        "fabric": Figure(silent, "" if answered is None else "s", "since its last answer"),
        "receiver": Figure(*words.rate(came, seconds), "received"),
        "intake": Figure(words.number(hour["dead_lettered"]), "", "dead letters this hour"),
        "spool": Figure(words.number(spool["events"]), "", "events wait" if spool["events"] != 1 else "event waits"),
        "publisher": Figure(*words.rate(now[left[0]], seconds), left[1]),
        "kafka": Figure(words.number(hour[left[0]]), "", "taken this hour" if not standby else "found this hour"),
    }


def _part(name: str, health: str, word: str, figure: Figure, detail: str) -> Markup:
    return element(
        "div",
        element("h2", words.PART_NAMES[name]),
        element("p", mark(health), element("b", word), class_="word"),
        element("p", element("span", figure.value), element("small", figure.unit), class_="figure"),
        element("p", figure.caption, class_="caption"),
        class_=f"part {health}",
        data_part=name,
        title=detail or None,
    )


_STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_SCRIPT = Path(__file__).with_name("live.js").read_text(encoding="utf-8")
_REFRESH_SECONDS = 5


def _digest(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_digest(_STYLE)}",
        f"script-src {_digest(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The Content-Security-Policy: this style, this script and this server, and nothing else."""


def render(status: dict[str, Any]) -> bytes:
    """The page of a report of /status."""
    tone = words.tone(status["state"], status["reason"])
    name = f"{words.title(status['state'], status['reason'])} \u00b7 {status['group']['member']}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("title", name),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href=icon(tone)),
        element("noscript", element("meta", http_equiv="refresh", content=_REFRESH_SECONDS)),
        element("style", Markup(_STYLE)),
    )
    main = element("main", banner(status), flow(status), cards(status))
    body = element("body", symbols(), _top(status), main, _foot(status), element("script", Markup(_SCRIPT)))
    page = element("html", head, body, lang="en", data_version=status["version"])
    return f"<!doctype html>\n{page}\n".encode()


def _top(status: dict[str, Any]) -> Markup:
    where = f"{status['group']['member']} in {status['group']['name']}"
    return element(
        "header",
        element("p", element("b", "tie-forwarder"), element("span", where)),
        element("p", element("time", words.clock(status["now"]), datetime=status["now"]), id="heard"),
    )


def _foot(status: dict[str, Any]) -> Markup:
    running = words.seconds_between(status["started"], status["now"])
    versions = " \u00b7 ".join(f"{name} {version}" for name, version in status["versions"].items())
    links = [element("a", path, href=path) for path in ("/status", "/metrics", "/healthz", "/readyz")]
    return element(
        "footer",
        element("p", f"Running for {words.span(running or 0)}, with {', '.join(status['publisher']['kafka'])}"),
        element("p", versions),
        element("nav", links),
    )
