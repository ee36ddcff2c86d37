"""The child's end: it reads its configuration and control lines, writes frames, and dies with its parent."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from tie_forwarder.processes import frames, log

_PR_SET_PDEATHSIG = 1


class ParentLink:
    """The pipes to the parent. `send` may be called from any thread and blocks while the pipe is full."""

    def __init__(self, *, control: int, output: int) -> None:
        self._control = os.fdopen(control, "rb")
        self._output = output
        self._write_lock = threading.Lock()

    @classmethod
    def attach(cls) -> tuple[ParentLink, dict[str, Any]]:
        """Takes over the standard streams and reads the configuration; to be called first, on the main thread.

        From here on nothing but frames can reach the parent through standard output: what a library prints goes to
        standard error. Signals for the terminal's group are left to the parent, which decides when a child ends.
        """
        _die_with_parent()
        output = os.dup(1)
        os.dup2(2, 1)
        # This process ends without a flush, and what a library prints is wanted when it is printed.
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        control = os.dup(0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        link = cls(control=control, output=output)
        first = link._control.readline()
        if not first:
            os._exit(0)
        configuration: dict[str, Any] = json.loads(first)
        log.hide_secrets(configuration)
        log.configure(configuration["log_level"])
        return link, configuration

    def send_json(self, kind: frames.Kind, body: Any) -> None:
        """Writes one frame."""
        self.send(frames.encode_json(kind, body))

    def send(self, frame: bytes) -> None:
        """Writes one frame whole; ends the process when the parent's end is gone."""
        view = memoryview(frame)
        try:
            with self._write_lock:
                while view:
                    view = view[os.write(self._output, view) :]
        except BrokenPipeError:
            os._exit(0)

    def listen(self, on_line: Callable[[dict[str, Any]], None]) -> None:
        """Starts a thread that hands over each control line; the end of the pipe is the end of this process.

        A change of the log's level is done here.
        """
        threading.Thread(target=self._listen, args=(on_line,), name="control", daemon=True).start()

    def _listen(self, on_line: Callable[[dict[str, Any]], None]) -> None:
        try:
            for text in self._control:
                line = json.loads(text)
                if line.get("verb") == "log_level":
                    log.configure(line["level"])
                else:
                    on_line(line)
        except Exception:  # noqa: BLE001 - the thread's edge: a child that cannot be told to stop must not go on
            log.log_exception("control.failed")
        finally:
            os._exit(0)


def _die_with_parent() -> None:
    """Asks Linux to kill this process when the parent's thread that started it ends; elsewhere the pipe's end does."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
