"""How every Python process of ours is started: never from the working directory, never with a secret of the parent.

Imports only what every interpreter has loaded at its start, not even `__future__`: `drop_working_directory` runs before
all other imports.
"""
# ruff: noqa: PTH109, PTH117  # pathlib is not loaded yet

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS = "TIE_FORWARDER_"


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours in a process of its own.

    `-P` keeps the working directory off `sys.path`. `-I` would also ignore `PYTHONPYCACHEPREFIX`, on which the
    container image relies.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment(environ: "Mapping[str, str]" = os.environ) -> dict[str, str]:
    """Our environment without what may hold a secret, and without module paths relative to the working directory.

    A child receives its configuration, secrets included, over a pipe.
    """
    kept = {name: value for name, value in environ.items() if not name.upper().startswith(_OPTIONS)}
    if "PYTHONPATH" in kept:
        absolute = [entry for entry in kept.pop("PYTHONPATH").split(os.pathsep) if os.path.isabs(entry)]
        if absolute:
            kept["PYTHONPATH"] = os.pathsep.join(absolute)
    return kept


def drop_working_directory(*, run_with_m: bool) -> None:
    """Removes from `sys.path` what Python took from the working directory.

    That is the first entry where this program was started by `python -m`, and each relative entry of `PYTHONPATH`, an
    empty one included.
    """
    relative = [entry for entry in os.environ.get("PYTHONPATH", "/").split(os.pathsep) if not os.path.isabs(entry)]
    try:
        here, unwanted = os.getcwd(), {"", *map(os.path.abspath, relative)}
    except OSError:
        here, unwanted = "", set()  # it has been removed, so nothing can be imported from it
    if run_with_m and not getattr(sys.flags, "safe_path", False) and sys.path[0] in ("", here):
        del sys.path[0]
    if not sys.flags.ignore_environment:
        sys.path[:] = [entry for entry in sys.path if entry not in unwanted]
