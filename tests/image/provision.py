"""Installs what runs containers in the tests where it is missing: `python -m tests.image.provision`."""

from __future__ import annotations

import shutil
import sys

from tests.harness.kafka.installation import ProvisioningError
from tests.harness.provision import _apt_get, _say

PROGRAMS = ("buildah", "runc")
"""Each is in the package of its name."""


def missing() -> list[str]:
    """The programs that are not there."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def main() -> int:
    """The exit code: 0, or 1 after one sentence."""
    absent = missing()
    if not absent:
        return 0
    if shutil.which("apt-get") is None:
        _say(f"{' and '.join(absent)}: not installed, and there is no apt-get here; install them")
        return 1
    _say(f"installing {', '.join(absent)}")
    try:
        _apt_get("update", "-qq")
        _apt_get("install", "-y", "-qq", "--no-install-recommends", *absent)
    except ProvisioningError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
