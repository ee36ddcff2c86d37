"""Man page and completions are those of the command line, and a shell gets completions by them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distribution.shipped import ROOT, shipped
from tie_forwarder.cli.completion import SHELLS
from tie_forwarder.cli.verbs import VERBS

BIN = Path(sys.executable).parent


@pytest.mark.parametrize("path", shipped())
def test_a_shipped_file_is_what_the_command_line_makes(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == shipped()[path], "run `make shipped` and commit what it writes"


def test_the_man_page_has_every_verb() -> None:
    sections = [line.removeprefix(".SS ") for line in shipped()["deploy/man/tie-forwarder.1"].splitlines()]
    assert {name.replace("-", "\\-") for name in VERBS} <= set(sections)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_verb_prints_the_script_that_is_shipped(shell: str) -> None:
    done = subprocess.run([BIN / "tie-forwarder", "completion", shell], capture_output=True, text=True, check=True)
    assert done.stdout in shipped().values()
    assert "_TIE_FORWARDER_COMPLETE" in done.stdout


# What bash does at a press of the tab key, without a terminal: the function is told the words and leaves its replies.
PRESS_TAB = """
eval "$(tie-forwarder completion bash)"
COMP_WORDS=({words}) COMP_CWORD={place}
compopt() {{ :; }}
$(complete -p tie-forwarder | sed 's/.*-F \\([^ ]*\\).*/\\1/') tie-forwarder
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "place", "replies"),
    [
        ("tie-forwarder che", 1, ["check"]),
        ("tie-forwarder dead-letters --s", 2, ["--set", "--since", "--show"]),
        ("tie-forwarder schema file", 2, ["file_reputation_change"]),
        ("tie-forwarder schema --format o", 3, ["ocsf"]),
        ("tie-forwarder completion ''", 2, list(SHELLS)),
    ],
)
def test_bash_completes_verbs_options_and_values(words: str, place: int, replies: list[str]) -> None:
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    script = PRESS_TAB.format(words=words, place=place)
    done = subprocess.run(["bash", "--norc", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == replies
    assert done.stderr == ""
