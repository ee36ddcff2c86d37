"""`tie-forwarder` and `python -m tie_forwarder`."""

from __future__ import annotations

import sys

from tie_forwarder.cli import invoke


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    sys.exit(invoke(sys.argv[1:]))


if __name__ == "__main__":
    main()
