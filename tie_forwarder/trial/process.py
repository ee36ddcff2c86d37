"""One area, tried in a process of its own that is ended when its time is up."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from tie_forwarder.children.interpreter import child_environment, python_command
from tie_forwarder.trial.finding import Finding, State, Trying, failed, not_tried


class Process:
    """Tries one area. `expected` are the lines that it should have, in order, for what it does not reach."""

    def __init__(self, *, module: str, settings: dict[str, Any], expected: list[Trying]) -> None:
        self._module = module
        self._settings = settings
        self._expected = expected
        self._process: subprocess.Popen[bytes] | None = None
        self._findings: list[Finding] = []
        self._trying: Trying | None = None
        self._broken = ""
        self._remedy = _BROKEN
        self._began = 0.0
        self._ended = threading.Event()

    @property
    def running(self) -> bool:
        return self._process is not None and not self._ended.is_set()

    @property
    def over(self) -> bool:
        return self._ended.is_set()

    def start(self) -> None:
        """Starts the process; one that cannot be started is over, and its findings say why."""
        self._began = time.monotonic()
        try:
            # In a session of its own it has no terminal that OpenSSL could ask for a password.
            self._process = subprocess.Popen(
                python_command("tie_forwarder.trial.child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=child_environment(),
            )
        except OSError as error:
            self._broken = f"{sys.executable} cannot be started: {error.strerror or error}"
            self._remedy = "let this user run the interpreter, and see whether memory and processes are left"
            self._ended.set()
            return
        assert self._process.stdin is not None
        request = {"module": self._module, "settings": self._settings}
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Until it is over, at most so long."""
        self._ended.wait(max(seconds, 0.0))

    def findings(self) -> list[Finding]:
        """What was found; where it is not over, its process is ended, and what is missing says so."""
        hung = self.running
        waited = time.monotonic() - self._began
        self.kill()
        found = list(self._findings)
        seen = {(finding.code, finding.subject) for finding in found}
        if hung and self._trying is not None and self._trying not in seen:
            found.append(failed(*self._trying, f"has not ended within {waited:.0f} s", _HUNG))
        elif self._expected and (self._broken or (not hung and self._process is not None and self._ended_early(found))):
            line = self._trying if self._trying is not None and self._trying not in seen else self._missing(seen)
            found.append(failed(*line, self._broken or "the process that tried it died", self._remedy))
        seen = {(finding.code, finding.subject) for finding in found}  # now with what has just been added
        why = "there was no time left" if hung or not self.over else "an earlier line failed"
        found += [not_tried(*line, why) for line in self._expected if line not in seen]
        return found

    def _ended_early(self, found: list[Finding]) -> bool:
        """Whether lines are missing though nothing has failed."""
        seen = {(finding.code, finding.subject) for finding in found}
        complete = all(line in seen for line in self._expected)
        return not complete and not any(finding.state is State.FAILED for finding in found)

    def _missing(self, seen: set[tuple[str, str]]) -> Trying:
        return next((line for line in self._expected if line not in seen), self._expected[-1])

    def kill(self) -> None:
        """Ends the process, if there is one. Does not wait for it: what hangs in the kernel ends when it can."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with suppress(ValueError):  # a line that was cut off when the process was ended
            for line in process.stdout:
                self._take(json.loads(line))
        process.poll()
        self._ended.set()

    def _take(self, message: dict[str, Any]) -> None:
        if "finding" in message:
            self._findings.append(Finding.from_json(message["finding"]))
        elif "trying" in message:
            self._trying = Trying(*message["trying"])
        else:
            self._broken = str(message.get("broken", "unknown"))


_HUNG = "see what it waits for: the network, a name server, a disk"
_BROKEN = "report this: it is a fault of tie-forwarder itself"
