"""`tie-forwarder completion`: the script that a shell reads, which asks the program itself what may follow."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tie_forwarder.cli import command_line

PROGRAM = "tie-forwarder"
SHELLS = ("bash", "zsh", "fish")


def completion_script(shell: str) -> str:
    """The script for one of `SHELLS`. It knows no verb, so it stays true when verbs come and go."""
    completion = get_completion_class(shell)
    assert completion is not None
    # Without ShellComplete.source(), which for bash complains when the machine has no bash.
    made = completion(command_line, {}, PROGRAM, "_TIE_FORWARDER_COMPLETE")
    return f"{(made.source_template % made.source_vars()).strip()}\n"


@click.command
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    The wheel installs the same below share/. By hand: eval "$(tie-forwarder completion bash)" in ~/.bashrc, the same
    with zsh in ~/.zshrc, or tie-forwarder completion fish | source in config.fish.
    """
    click.echo(completion_script(shell), nl=False)
