"""The files that are made from the command line and lie in the tree, since a build must not need the program.

Run as `make shipped`; tests/docs/test_shipped.py fails where one of them differs.
"""

from __future__ import annotations

from pathlib import Path

from tests.distribution.manual import manual
from tie_forwarder.cli.completion import completion_script

ROOT = Path(__file__).parents[2]


def shipped() -> dict[str, str]:
    """The text of each file by its path below the root."""
    return {
        "deploy/man/tie-forwarder.1": manual(),
        "deploy/completions/tie-forwarder.bash": completion_script("bash"),
        "deploy/completions/_tie-forwarder": completion_script("zsh"),
        "deploy/completions/tie-forwarder.fish": completion_script("fish"),
    }


if __name__ == "__main__":
    for path, text in shipped().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
