"""zsh and fish complete by the shipped scripts; tests/docs/test_shipped.py shows the same for bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distribution.artifacts import ROOT

SCRIPTS = ROOT / "deploy" / "completions"

pytestmark = pytest.mark.distribution

# What zsh's completion system does with the function; it hands over what it found to these two.
ZSH = f"""
compdef() {{ :; }}
_describe() {{ printf '%s\\n' ${{completions_with_descriptions%%:*}}; }}
compadd() {{ printf '%s\\n' $completions; }}
source {SCRIPTS}/_tie-forwarder
words=(tie-forwarder che) CURRENT=2
_tie_forwarder_completion
"""
FISH = f"source {SCRIPTS}/tie-forwarder.fish; complete --do-complete 'tie-forwarder che'"


@pytest.mark.parametrize("command", [["zsh", "-f", "-c", ZSH], ["fish", "--no-config", "-c", FISH]], ids=lambda c: c[0])
def test_the_shell_completes_a_verb(command: list[str]) -> None:
    assert shutil.which(command[0]), f"{command[0]} is missing; run `python -m tests.distribution.provision`"
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["check"]
