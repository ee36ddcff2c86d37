"""Settings of glibc's malloc, made before threads start, that keep a burst from holding on to memory.

malloc's defaults keep an arena per thread and raise the threshold above which memory goes back to the system at once
(mallopt(3)); under bursts of a megabyte that costs tens of megabytes for the rest of the process's life.
"""

from __future__ import annotations

import ctypes

ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    # Python's own allocator gives back whole mebibytes only, and one small object that a burst leaves prevents that.
    "PYTHONMALLOC": "malloc",
}
"""The same settings for a child, before its interpreter starts."""

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
