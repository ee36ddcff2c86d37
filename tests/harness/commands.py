"""The commands that stand in the documents."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands(document: str, tool: str) -> list[str]:
    """Every command of the tool in the text, its lines joined."""
    text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", " ")
    return [re.sub(r"\s+", " ", line.strip()) for line in text.splitlines() if line.strip().startswith(f"{tool} ")]
