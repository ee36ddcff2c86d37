"""`tie-forwarder` and `python -m tie_forwarder`."""

import sys

from tie_forwarder.interpreter import drop_working_directory


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    # Before all other imports: nobody who can write to the working directory may run code as this user.
    drop_working_directory(run_with_m=__name__ == "__main__")
    from tie_forwarder.cli import invoke
    from tie_forwarder.cli.streams import prepare_streams

    prepare_streams()
    sys.exit(invoke(sys.argv[1:]))


if __name__ == "__main__":
    main()
