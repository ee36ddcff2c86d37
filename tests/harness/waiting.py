"""Waits for conditions.

Owns: the only way in which a test waits. Must not: sleep for longer than it takes to look again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_AGAIN_SECONDS = 0.02


def wait_until(condition: Callable[[], T], *, timeout: float, what: str | Callable[[], str]) -> T:
    """Block until `condition()` is true and return its value; `TimeoutError` after `timeout` seconds.

    `what` names the condition for the error; where it is a function, it is called only then and may quote logs.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = what if isinstance(what, str) else what()
            raise TimeoutError(f"not within {timeout:g} s: {text}")
        time.sleep(_LOOK_AGAIN_SECONDS)
