"""The ten faults of `make ten-faults`: what they expect exists, and the table says what they expect."""

from __future__ import annotations

from pathlib import Path

from tests.ten_faults.faults import FAULTS
from tests.ten_faults.table import HEADING, RUNBOOK, write
from tie_forwarder.check.findings import LINES
from tie_forwarder.status.conditions import CONDITIONS


def test_the_words_that_are_expected_are_words_of_the_forwarder() -> None:
    assert len(FAULTS) == 10
    for fault in FAULTS:
        assert {reason for state, reason in fault.reasons if reason not in CONDITIONS[state]} == set()
        assert set(fault.check) <= set(LINES)


def test_the_runbook_shows_each_fault_with_its_words() -> None:
    document = RUNBOOK.read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in document.partition(HEADING)[2].splitlines() if line.startswith("| ")][2:12]
    assert [row[0].removeprefix("| ") for row in rows] == [fault.name for fault in FAULTS]
    for row, fault in zip(rows, FAULTS, strict=True):
        assert row[1] in [f"`{state}`, `{reason}`" for state, reason in fault.reasons]
        assert [code for code in fault.check if f"`{code}`: " not in row[4]] == []
        assert all(cell.strip(" |") for cell in row)


def test_the_table_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    runbook = tmp_path / "runbook.md"
    runbook.write_text(f"# Runbook\n\nBefore.\n\n{HEADING}\n\nold\n\n## After\n\nText.\n")
    write(f"{HEADING}\n\nnew\n", runbook)
    assert runbook.read_text() == f"# Runbook\n\nBefore.\n\n{HEADING}\n\nnew\n\n## After\n\nText.\n"
    runbook.write_text("# Runbook\n")
    write(f"{HEADING}\n\nnew\n", runbook)
    assert runbook.read_text() == f"# Runbook\n\n{HEADING}\n\nnew\n"
