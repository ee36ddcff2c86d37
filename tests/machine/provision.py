"""Installs what boots a Debian in a folder, and makes that Debian: `python -m tests.machine.provision`."""

from __future__ import annotations

import shutil
import sys

from tests.harness.kafka.installation import ProvisioningError
from tests.harness.provision import install
from tests.machine.machine import COMMANDS, clean_root


def main() -> int:
    """The exit code: 0, or 1 after one sentence."""
    try:
        packages = [package for command, package in COMMANDS.items() if shutil.which(command) is None]
        if packages:
            install(packages)
        clean_root()
    except ProvisioningError as error:
        print(f"provision: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
