"""Runs the demo in a terminal and keeps what it showed as docs/demo.svg: `make picture`.

The picture is what the program printed, character by character; nothing is made up and nothing left out.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PICTURE = Path(__file__).parents[2] / "docs" / "demo.svg"
COMMAND = ["tie-forwarder", "demo", "--seconds", "5", "--rate", "2"]
WIDTH = 108

# Light on dark, each with a contrast of at least 4.5 to the background.
THEME = TerminalTheme(
    (24, 27, 34), (216, 222, 233),
    [(110, 118, 135), (240, 113, 120), (126, 211, 133), (229, 192, 123), (110, 180, 255), (214, 145, 235),
     (86, 199, 210), (216, 222, 233)],
    [(140, 148, 165), (255, 138, 145), (152, 230, 158), (245, 214, 150), (144, 200, 255), (228, 172, 245),
     (122, 222, 231), (255, 255, 255)],
)  # fmt: skip


def shown() -> str:
    """What the command printed to a terminal, with its colours. Blocks for some ten seconds."""
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "", "COLUMNS": str(WIDTH), "TZ": "UTC"}
    program = [str(Path(sys.executable).parent / COMMAND[0]), *COMMAND[1:]]
    with subprocess.Popen(program, stdin=slave, stdout=slave, stderr=slave, env=env) as process:
        os.close(slave)
        output = b"".join(iter(lambda: _read(master), b""))
    os.close(master)
    if process.returncode != 0:
        raise RuntimeError(f"the demo ended with {process.returncode}: {output.decode()[-2_000:]}")
    return output.decode().replace("\r\n", "\n")


def picture(output: str) -> str:
    """The output as SVG, with the command above it. It names no font of the network's."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text.assemble(("$ ", "green"), (" ".join(COMMAND), "bold")), soft_wrap=True)
    console.print(Text.from_ansi(output.rstrip()), soft_wrap=True)
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("Fira Code, monospace", "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace")
    svg = console.export_svg(title="tie-forwarder", theme=THEME, code_format=form, unique_id="demo")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError:
        return b""  # the terminal is gone with its last user


if __name__ == "__main__":
    PICTURE.write_text(picture(shown()), encoding="utf-8")
