"""The runbook has a section for every alert, state and reason, and for nothing else; what it names exists."""

from __future__ import annotations

import re

import pytest

from tests.monitoring.rules import ROOT, known_names, names_in, rules
from tie_forwarder.cli.verbs import VERBS
from tie_forwarder.status.conditions import CONDITIONS

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
FREE = {"First", "Alerts", *CONDITIONS, "Ten faults and what is shown"}
"""The headings above the sections, and what is said for all of them."""
PARTS = ("Means", "See", "Do", "Mended")


def slug(heading: str) -> str:
    """The anchor that forges make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections() -> dict[str, str]:
    """Heading and text of each section of the lowest level."""
    parts = re.split(r"^### (.+)$", re.sub(r"^## .*?(?=^###|\Z)", "", RUNBOOK, flags=re.M | re.S), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def headings() -> list[str]:
    return re.findall(r"^#{2,3} (.+)$", RUNBOOK, flags=re.M)


def test_there_is_a_section_for_each_alert_and_each_state_with_each_reason_and_for_nothing_else() -> None:
    conditions = [f"{state}: {reason}" for state, reasons in CONDITIONS.items() for reason in reasons]
    assert sorted(sections()) == sorted([*rules("alert"), *conditions])
    assert set(headings()) - set(sections()) <= FREE


@pytest.mark.parametrize("part", PARTS)
def test_each_section_says_what_it_means_how_to_see_it_what_to_do_and_when_it_is_mended(part: str) -> None:
    assert [heading for heading, text in sections().items() if f"- **{part}**: " not in text] == []


def test_the_anchors_are_unique_and_every_link_within_finds_one() -> None:
    anchors = [slug(heading) for heading in headings()]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) - set(anchors) == set()


def test_every_link_to_another_document_finds_it_and_its_heading() -> None:
    for name, anchor in re.findall(r"\]\(([\w./]+)(?:#([^)]+))?\)", RUNBOOK):
        page = (ROOT / "docs" / name).resolve()
        assert page.exists(), name
        if anchor:
            found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
            assert anchor in map(slug, found), f"{name}#{anchor}"


def test_every_metric_that_the_runbook_names_exists() -> None:
    assert names_in(RUNBOOK) - known_names() - {"tie_forwarder"} == set()


def test_every_verb_that_the_runbook_names_exists() -> None:
    named = set(
        re.findall(r"\btie-forwarder ([a-z][a-z-]+)\b", "\n".join(re.findall(r"`[^`]+`|^ {4}.+$", RUNBOOK, flags=re.M)))
    )
    assert named - set(VERBS) == set()


def test_every_option_and_every_line_of_check_that_the_runbook_names_exists() -> None:
    reference = (ROOT / "config.yaml").read_text(encoding="utf-8")
    lines = set(re.findall(r"^\| `([a-z_.]+)`", (ROOT / "docs" / "check.md").read_text(encoding="utf-8"), flags=re.M))
    named = set(re.findall(r"`((?:dxl|kafka|group|spool|http)(?:\.[a-z_]+)+)(?::[^`]*)?`", RUNBOOK))
    for option in named - lines:
        for part in option.split("."):
            assert re.search(rf"^\s*{part}:", reference, flags=re.M), option
    tried = set(re.findall(r"lines? `([a-z_.*]+)`(?: and `([a-z_.*]+)`)?", RUNBOOK))
    assert {name for pair in tried for name in pair if name and "*" not in name} - lines == set()
