"""Text that came from outside, made fit for a terminal: nothing in it can drive one, or forge a line."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with everything escaped that is not printable, line ends included."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def printable_lines(text: str) -> str:
    """The same, and line feeds stay."""
    return "\n".join(map(printable, text.split("\n")))


def text_of(payload: bytes) -> str:
    """The bytes as text; what is no UTF-8 is shown as `\\xff`, and not yet fit for a terminal."""
    return payload.decode("utf-8", "backslashreplace")


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
