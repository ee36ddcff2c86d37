"""Sets the wall clock of a Python process off by CLOCK_OFFSET_SECONDS; the monotonic clocks stay right.

Python imports this module by itself at its start where this directory stands in PYTHONPATH. So a machine with a wrong
clock is played without a line in the program under test; a child process inherits the variables. Where
CLOCK_OFFSET_FILE names a file, what it says counts from then on, so that a clock can be set while processes run.
"""

import os
import time
from pathlib import Path

_FILE = os.environ.get("CLOCK_OFFSET_FILE", "")
_OFFSET = int(float(os.environ.get("CLOCK_OFFSET_SECONDS", "0")) * 1_000_000_000)


def _offset() -> int:
    try:
        return int(float(Path(_FILE).read_text(encoding="ascii")) * 1_000_000_000)
    except OSError:
        return _OFFSET


if _OFFSET or _FILE:
    _time_ns = time.time_ns

    def time_ns() -> int:
        """Nanoseconds since the epoch by the clock that is off."""
        return _time_ns() + (_offset() if _FILE else _OFFSET)

    def seconds() -> float:
        """Seconds since the epoch by the clock that is off."""
        return time_ns() / 1e9

    time.time_ns = time_ns
    time.time = seconds
