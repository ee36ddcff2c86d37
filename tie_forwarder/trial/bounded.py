"""A call that may hang, bounded: a file may be on a disk that does not answer, or be a pipe that nobody writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tie_forwarder.errors import ForwarderError

_Result = TypeVar("_Result")


def bounded(call: Callable[[], _Result], *, seconds: float, what: str) -> _Result:
    """The call's result, or what it raises; ForwarderError when it goes on after so long, and is left to itself."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - a thread's edge: it is raised again where it was called
            errors.append(error)

    thread = threading.Thread(target=run, name="bounded", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        message = f"{what} could not be read within {seconds:.0f} s"
        raise ForwarderError(message, remedy="see whether its disk answers, and that it is a plain file")
    return results[0]
