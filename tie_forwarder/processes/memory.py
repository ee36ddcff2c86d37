"""Keeping bursts from holding on to memory: glibc's malloc, told before threads start, and Python's own free lists.

malloc's defaults keep an arena per thread and raise the threshold above which memory goes back to the system at once
(mallopt(3)); under bursts of a megabyte that costs tens of megabytes for the rest of the process's life.
"""

from __future__ import annotations

import ctypes
import gc

ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    # Python's own allocator gives back whole mebibytes only, and one small object that a burst leaves prevents that.
    "PYTHONMALLOC": "malloc",
}
"""The same settings for a child, before its interpreter starts."""

_BURST = 2_000
_QUIET_LOOKS = 3

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def limit_malloc() -> None:
    """Sets this process's malloc; does nothing where the C library has no `mallopt`."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_THRESHOLD, 131_072)
    mallopt(_M_TRIM_THRESHOLD, 131_072)


def _trim() -> None:
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library than glibc


class Thrift:
    """Gives memory back once a burst is over; to be asked about once a second. One thread."""

    def __init__(self) -> None:
        self._seen = 0
        self._quiet_looks = 0
        self._given_back_at = 0

    def look(self, count: int) -> bool:
        """Collects when many more have come since the last time, and none during some looks; true when it did.

        A full collection also empties the free lists of Python. Blocks for some 20 ms then.
        """
        self._quiet_looks = self._quiet_looks + 1 if count == self._seen else 0
        self._seen = count
        if self._quiet_looks < _QUIET_LOOKS or abs(count - self._given_back_at) < _BURST:
            return False
        self._given_back_at = count
        gc.collect()
        _trim()
        return True
