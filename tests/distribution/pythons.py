"""Finds the Pythons that the distribution is installed on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

DEFAULT = "3.11 3.12 3.13"


class NoSuchPythonError(RuntimeError):
    """A Python that was asked for is not on this machine; the text says how to get it."""


def wanted() -> list[str]:
    """The versions to take, from the environment variable PYTHONS, which `make dist-test PYTHONS=...` sets."""
    return os.environ.get("PYTHONS", DEFAULT).split()


def find(version: str) -> Path:
    """An interpreter of the version. A version that is missing is a failure: skipping it would promise too much."""
    for candidate in _candidates(version):
        if _version_of(candidate) == version:
            return candidate
    raise NoSuchPythonError(
        f"there is no Python {version} here, neither in PATH nor of pyenv or uv; install it (apt-get install "
        f"python{version} python{version}-venv, pyenv install {version} or uv python install {version}), or name the "
        f'versions to take: make dist-test PYTHONS="{" ".join(other for other in wanted() if other != version)}"'
    )


def _candidates(version: str) -> Iterator[Path]:
    # pyenv first: its shims in PATH answer to every name, and fail where the version is not chosen.
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(root.glob(f"versions/{version}.*/bin/python{version}"), key=_patch_level, reverse=True)
    for name in (f"python{version}", "python3", "python"):
        if found := shutil.which(name):
            yield Path(found)
    if uv := shutil.which("uv"):
        answer = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())


def _patch_level(interpreter: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", interpreter.parents[1].name)]


def _version_of(interpreter: Path) -> str | None:
    script = 'import sys; print("%d.%d" % sys.version_info[:2])'
    answer = subprocess.run([interpreter, "-c", script], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None
