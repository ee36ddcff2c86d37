"""What is drawn: the mark of each health, which differs by shape and not by colour alone, arrows, bars and curves."""

from __future__ import annotations

from collections.abc import Sequence

from tie_forwarder.page.markup import Markup, element

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
