"""The picture of the flow: six parts from the fabric to Kafka, each with its health in colour, shape and word."""

from __future__ import annotations

from typing import Any, NamedTuple

from tie_forwarder import status_words as words
from tie_forwarder.page.drawing import arrow, mark
from tie_forwarder.page.markup import Markup, element


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
