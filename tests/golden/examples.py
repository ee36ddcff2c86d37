"""The worked examples of docs/records.md: the sample in each format, as `tie-forwarder decode` shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tie_forwarder.records.formats import FORMATS

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "records.md"
_BEGIN, _END = "<!-- examples -->\n", "<!-- end of examples -->\n"
_RECEIVED_MS, _RECEIVED = "1795521600000", "2026-11-24T12:00:00.000Z"


def examples() -> str:
    """The section, made by the command, with a fixed time of receipt."""
    blocks = []
    for form in FORMATS:
        text = _decoded(form)
        indented = "".join(f"    {line}\n" for line in text.splitlines())
        blocks.append(f"### {form}\n\n{indented}\n")
    return "\n" + "".join(blocks)


def examples_in(document: str) -> str:
    """The section as it stands in the text."""
    return document.split(_BEGIN, 1)[1].split(_END, 1)[0]


def with_examples(document: str) -> str:
    """The text with the section made anew."""
    head, rest = document.split(_BEGIN, 1)
    return head + _BEGIN + examples() + _END + rest.split(_END, 1)[1]


def _decoded(form: str) -> str:
    command = [sys.executable, "-m", "tie_forwarder", "decode", "--format", form, "tests/data/detection.json"]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = re.search(r'"timestamp": (\d+)', text)
    received = re.search(r'"ce_receivedtime": "([^"]+)"', text)
    assert found
    assert received
    return text.replace(found[1], _RECEIVED_MS).replace(received[1], _RECEIVED)
