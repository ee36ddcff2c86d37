"""No character that nobody sees reaches a terminal, a page or the log."""

from __future__ import annotations

import unicodedata

import pytest

from tie_forwarder.printing import is_printable, neutral, printable, printable_lines

UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@pytest.mark.parametrize("plane", [0, 1, 2, 14, 16])
def test_every_character_is_visible_a_space_or_replaced(plane: int) -> None:
    for code in range(plane << 16, (plane + 1) << 16):
        character = chr(code)
        category = unicodedata.category(character)
        shown = printable(f"a{character}b")
        assert is_printable(shown)
        assert not is_printable(character) or category not in (*UNSEEN, "Zs") or character == " "
        assert (shown == f"a{character}b") is is_printable(character)
        assert neutral(character) == (character if category == "Zs" or is_printable(character) else "\ufffd")


@pytest.mark.parametrize(
    "hidden", "\u034f\u115f\u1160\u17b4\u180b\u180f\u3164\ufe00\ufe0f\uffa0\U000e0100\U000e01ef\u061c\u200b\U000e0041"
)
def test_what_can_hide_text_is_shown_by_its_code(hidden: str) -> None:
    assert printable(f"a{hidden}b").isascii()
    assert printable_lines(f"a\n{hidden}b").count("\n") == 1
    assert neutral(hidden) == "\ufffd"
