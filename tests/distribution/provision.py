"""Installs what only the tests of the distribution need: `python -m tests.distribution.provision`."""

from __future__ import annotations

import shutil
import sys

from tests.harness.kafka.installation import ProvisioningError
from tests.harness.provision import _apt_get

PROGRAMS = {"bash": "bash", "zsh": "zsh", "fish": "fish", "man": "man-db", "mandoc": "mandoc"}
"""Programs and the Debian packages that have them."""


def main() -> int:
    """The exit code: 0, or 1 after one sentence."""
    absent = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if not absent:
        return 0
    try:
        _apt_get("update", "-qq")
        _apt_get("install", "-y", "-qq", "--no-install-recommends", *absent)
    except ProvisioningError as error:
        print(f"provision: {', '.join(absent)}: missing, and not to be had by apt-get: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
