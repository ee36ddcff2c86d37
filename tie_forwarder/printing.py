"""Text that came from outside, made fit for a terminal: nothing in it can drive one, or forge a line."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""What Unicode counts among marks and letters and nobody sees: selectors of variants, fillers, a joiner."""


def printable(text: str) -> str:
    """The text with everything escaped that is not printable or not visible, line ends included."""
    if is_printable(text):
        return text
    return "".join(character if is_printable(character) else _escaped(character) for character in text)


def is_printable(text: str) -> bool:
    """Whether each character is visible or a plain space: no control, no format, no separator, no unassigned one."""
    return text.isprintable() and (text.isascii() or not _INVISIBLE.search(text))


def neutral(text: str) -> str:
    """The text with U+FFFD for each character that is not visible. Spaces of every kind stay."""
    if is_printable(text):
        return text
    return "".join(character if _is_kept(character) else "\ufffd" for character in text)


def _is_kept(character: str) -> bool:
    return is_printable(character) or unicodedata.category(character) == "Zs"


def printable_lines(text: str) -> str:
    """The same, and line feeds stay."""
    return "\n".join(map(printable, text.split("\n")))


def text_of(payload: bytes) -> str:
    """The bytes as text; what is no UTF-8 is shown as `\\xff`, and not yet fit for a terminal."""
    return payload.decode("utf-8", "backslashreplace")


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
