"""The table of the ten faults in docs/runbook.md, made from what was seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.ten_faults.shown import Shown

HEADING = "## Ten faults and what is shown"
RUNBOOK = Path(__file__).parent.parent.parent / "docs" / "runbook.md"
_INTRODUCTION = """\
`make ten-faults` makes each of these for real to a running forwarder, and writes here what it saw. State, reason and
remedy stood alike in `/status`, on the status page, in `status` and in the log. The last two columns are the lines of
`tie-forwarder check --connect` that name the cause. Ports and names are those of the test.
"""
_COLUMNS = ("Fault", "State, reason", "What it says", "Remedy", "`check --connect`", "Its remedy")


def section(seen: Iterable[tuple[str, Sequence[str], Shown]]) -> str:
    """The whole section: for each fault its name, the lines of `check` that count, and what was shown."""
    rows = [_row(_COLUMNS), _row("---" for _ in _COLUMNS)]
    for name, codes, shown in seen:
        lines = [(code, *shown.lines[code][1:]) for code in codes]
        found = "; ".join(f"`{code}`: {_safe(text)}" for code, text, _ in lines)
        remedies = "; ".join(dict.fromkeys(_safe(remedy) for _, _, remedy in lines))
        state = f"`{shown.state}`, `{shown.reason}`"
        rows.append(_row((name, state, _safe(shown.detail), _safe(shown.remedy), found, remedies)))
    return f"{HEADING}\n\n{_INTRODUCTION}\n" + "\n".join(rows) + "\n"


def write(text: str, file: Path = RUNBOOK) -> None:
    """Put the section in the place of the one that is there, or at the end."""
    document = file.read_text(encoding="utf-8") if file.exists() else "# Runbook\n"
    pattern = re.compile(rf"^{re.escape(HEADING)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if pattern.search(document):
        document = pattern.sub(lambda _: f"{text}\n", document)
    else:
        document = f"{document.rstrip()}\n\n{text}"
    file.write_text(document.rstrip() + "\n", encoding="utf-8")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _safe(text: str) -> str:
    """In a cell of a table; paths of the test's directory are shortened."""
    return re.sub(r"/\S*ten-faults-\S*/", "", " ".join(text.split())).replace("|", "\\|")
