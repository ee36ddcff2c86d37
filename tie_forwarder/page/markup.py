"""HTML that is safe by construction: what is not `Markup` is text from outside, and is escaped wherever it is put."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from tie_forwarder.printing import printable

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
