"""Stopping one thread of a process while its others go on, which no signal can do: by ptrace.

Owns: the tracer, which must be one and the same thread from the beginning to the end. Linux on x86-64 or arm64.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_LOOK_SECONDS = 0.02
_ATTEMPTS = 200


@contextmanager
def stopped_main_thread(pid: int) -> Iterator[None]:
    """The process's main thread is stopped while it waits for another one, so that it holds no lock of Python's.

    Killing the process works as ever. `RuntimeError` where it is not caught waiting, or may not be traced.
    """
    done, stopped, failed = threading.Event(), threading.Event(), list[BaseException]()

    def trace() -> None:
        try:
            _stop(pid)
            stopped.set()
            _hold(pid, done)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            failed.append(error)
            stopped.set()

    tracer = threading.Thread(target=trace, name="tracer")
    tracer.start()
    stopped.wait()
    try:
        if failed:
            raise RuntimeError(f"the main thread of {pid} could not be stopped") from failed[0]
        yield
    finally:
        done.set()
        tracer.join()


def _stop(pid: int) -> None:
    _ptrace(_SEIZE, pid)
    for _ in range(_ATTEMPTS):
        _ptrace(_INTERRUPT, pid)
        os.waitpid(pid, _WALL)
        if _waits(pid):
            return
        _ptrace(_DETACH, pid)
        threading.Event().wait(_LOOK_SECONDS)
        _ptrace(_SEIZE, pid)
    _ptrace(_DETACH, pid)
    raise RuntimeError("it never waited")


def _hold(pid: int, done: threading.Event) -> None:
    """Waits for the process's end as its tracer has to: until then its parent is told nothing of it."""
    while not done.wait(_LOOK_SECONDS):
        ended, _ = os.waitpid(pid, _WALL | os.WNOHANG)
        if ended:
            return
    _ptrace(_DETACH, pid)


def _waits(pid: int) -> bool:
    number = Path(f"/proc/{pid}/task/{pid}/syscall").read_text(encoding="ascii").split()[0]
    return number in (_FUTEX, "219")  # 219 is restart_syscall, which goes on with what was interrupted


_FUTEX = {"x86_64": "202", "aarch64": "98"}.get(os.uname().machine, "")


def _ptrace(request: int, pid: int) -> None:
    if ctypes.CDLL(None, use_errno=True).ptrace(request, pid, None, None) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"ptrace {request:#x} of {pid}")
