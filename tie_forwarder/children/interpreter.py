"""How every Python process of ours is started: never from the working directory, never with a secret of the parent.

Imports only what every interpreter has loaded at its start, because `drop_working_directory` runs before all other
imports.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # `collections` and `typing` are not loaded yet
    from collections.abc import Mapping

_OPTIONS = "TIE_FORWARDER_"


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours in a process of its own.

    `-P` keeps the working directory off `sys.path`. `-I` would also ignore `PYTHONPYCACHEPREFIX`, on which the
    container image relies.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Our environment without what may hold a secret, and without module paths relative to the working directory.

    A child receives its configuration, secrets included, over a pipe.
    """
    kept = {name: value for name, value in environ.items() if not name.upper().startswith(_OPTIONS)}
    if "PYTHONPATH" in kept:
        absolute, _ = _split_search_path(kept.pop("PYTHONPATH"))
        if absolute:
            kept["PYTHONPATH"] = os.pathsep.join(absolute)
    return kept


def drop_working_directory(*, run_with_m: bool) -> None:
    """Removes from `sys.path` what Python took from the working directory.

    That is the first entry where this program was started by `python -m`, and each relative entry of `PYTHONPATH`, an
    empty one included.
    """
    if run_with_m and not sys.flags.safe_path and sys.path[0] in ("", _working_directory()):
        del sys.path[0]
    if not sys.flags.ignore_environment:
        _, relative = _split_search_path(os.environ.get("PYTHONPATH", ""))
        unwanted = {os.path.join(_working_directory(), entry).rstrip("/") for entry in relative}  # noqa: PTH118 - pathlib is not loaded yet
        sys.path[:] = [entry for entry in sys.path if entry not in unwanted]


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - as above
    except OSError:
        return ""  # it has been removed, so nothing can be imported from it


def _split_search_path(text: str) -> tuple[list[str], list[str]]:
    """The absolute entries and the others. Python takes an empty entry for the working directory."""
    entries = text.split(os.pathsep) if text else []
    absolute = [entry for entry in entries if os.path.isabs(entry)]  # noqa: PTH117 - pathlib is not loaded yet
    return absolute, [entry for entry in entries if entry not in absolute]
