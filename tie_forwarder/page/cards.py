"""What stands below the picture: rates, spool, certificates, group, ledger and dead letters, a card for each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from tie_forwarder import status_words as words
from tie_forwarder.page.drawing import bars, gauge, mark
from tie_forwarder.page.markup import Child, Markup, element

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
    more = "\u2026" if letter["bytes"] > len(letter["first_bytes"]) else ""
    when = words.clock(letter["received_at"]) if letter["received_at"] else "unknown time"
    return element(
        "li",
        element("p", element("code", letter["reason"], class_="reason"), element("span", when), class_="head"),
        element("p", letter["detail"] or letter["meaning"], class_="detail"),
        element("pre", f"{letter['first_bytes']}{more}"),
        element("p", f"{words.number(letter['bytes'])} bytes, {letter['kind']}, {letter['event_id']}", class_="foot"),
    )
