"""The state in large: what it is, since when, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tie_forwarder import status_words as words
from tie_forwarder.page.drawing import mark
from tie_forwarder.page.markup import Markup, element


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
