"""Becomes another program that the kernel kills when the process that started it dies.

Run as `python -I -S tether.py PARENT_PID COMMAND...`. Must not: import anything of the project, since every server that
the tests start passes through here.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: "list[str]") -> None:
    """Replace this process by `command`. Returns only when the parent died before it could be watched."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
