"""The whole trial: everything side by side, each in its own process, and an end in time whatever hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from tie_forwarder.config import Config, ConfigError, Fault
from tie_forwarder.config.inspection import inspect
from tie_forwarder.errors import ForwarderError
from tie_forwarder.trial.bounded import bounded
from tie_forwarder.trial.expectations import expected
from tie_forwarder.trial.finding import Finding, State, failed, not_tried, ok, warning
from tie_forwarder.trial.lines import AREAS, LINES
from tie_forwarder.trial.plan import Plan, plans
from tie_forwarder.trial.process import Process

_FAILED = 1
_READING_SECONDS = 3.0
_INSPECTING_SECONDS = 5.0
_MOST_PROCESSES = 8
"""At once: each is an interpreter with a client."""

_LOOK_SECONDS = 0.05
_OTHERWISE_SHOWN = ("[Certs] ", "kafka.security.ca_file", "kafka.security.certificate_file", "kafka.security.key_file")
"""Faults with lines of their own among the certificates, as far as there is a file."""


class Result(NamedTuple):
    """What was found, in the order in which it is shown, and what it means."""

    findings: list[Finding]
    exit_code: int
    """0: the service would work; 1: it would not; 78: it would not even start."""

    @property
    def works(self) -> bool:
        return self.exit_code == 0

    def count(self, state: State) -> int:
        """How many findings are of this state."""
        return sum(finding.state is state for finding in self.findings)


def refused(faults: Sequence[Fault]) -> Result:
    """The result where the configuration itself cannot be used, so that nothing else can be tried."""
    found = [failed("configuration.values", fault.place or "configuration", *_told(fault)) for fault in faults]
    return Result([*found, *_untried("the configuration cannot be used")], ConfigError.exit_code)


def unreadable(file: str, error: ForwarderError) -> Result:
    """The same where it could not even be read."""
    found = failed("configuration.values", file, error.message, error.remedy)
    return Result([found, *_untried("the configuration cannot be read")], _FAILED)


class Trial:
    """Tries what the configuration names. Blocks until `deadline` (monotonic) at the latest."""

    def __init__(self, config: Config, *, create_topics: bool, deadline: float) -> None:
        self._config = config
        self._create_topics = create_topics
        self._deadline = deadline
        self._faults: Sequence[Fault] | None = None
        self._warnings: Sequence[Fault] = ()
        self._uninspected = ForwarderError("the files that it names could not be looked at in time", remedy=_DISK)

    def run(self) -> Result:
        """Everything once."""
        inspection = threading.Thread(target=self._inspect, name="inspection", daemon=True)
        inspection.start()
        try:
            planned = bounded(self._plans, seconds=_READING_SECONDS, what="a file that the configuration names")
        except ForwarderError as error:
            inspection.join(self._left())
            unread = failed("configuration.files", self._file, error.message, error.remedy)
            found = [self._values(), unread, *_untried("a file that the configuration names cannot be read")]
            return Result(_unique(found), self._exit_code(found))
        found = self._tried(planned)
        if not any(plan.module == "fabric" for plan in planned):
            found.append(not_tried("fabric.name", AREAS["fabric"], "dxlclient.config cannot be used"))
        inspection.join(self._left())
        found = [self._values(), *self._files(planned), *_forgiving(found)]
        areas = list(AREAS)
        found.sort(key=lambda finding: areas.index(finding.area))
        return Result(found, self._exit_code(found))

    @property
    def _file(self) -> str:
        return str(self._config.file or "defaults")

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _plans(self) -> list[Plan]:
        return plans(self._config, create_topics=self._create_topics)

    def _inspect(self) -> None:
        patience = min(_INSPECTING_SECONDS, self._left())
        try:
            found = inspect(self._config, patience_seconds=patience)
            self._warnings, self._faults = found.warnings, found.faults
        except ForwarderError as error:
            self._faults, self._uninspected = None, error

    def _values(self) -> Finding:
        return ok("configuration.values", self._file, "every option is one, with a value that it may have")

    def _files(self, planned: Sequence[Plan]) -> list[Finding]:
        """The lines on the files, but for those that have lines of their own."""
        code = "configuration.files"
        if self._faults is None:
            return [failed(code, self._file, self._uninspected.message, self._uninspected.remedy)]
        shown = {"spool.directory", "kafka.schema_registry.ca_file"}
        if any(plan.module == "fabric" for plan in planned):
            shown |= {fault.field for fault in self._faults if fault.field.startswith(_OTHERWISE_SHOWN)}
        faults = [fault for fault in self._faults if fault.field not in shown]
        found = [failed(code, fault.place or self._file, *_told(fault)) for fault in faults]
        return [*(found or [ok(code, self._file, "the files that it names can be read")]), *self._exposures()]

    def _exposures(self) -> list[Finding]:
        code = "configuration.exposure"
        found = [warning(code, fault.place or self._file, *_told(fault)) for fault in self._warnings]
        return found or [ok(code, self._file, "no other user can read a secret, or write what the service reads")]

    def _exit_code(self, findings: Sequence[Finding]) -> int:
        if self._faults:
            return ConfigError.exit_code
        return _FAILED if any(finding.state is State.FAILED for finding in findings) else 0

    def _tried(self, planned: Sequence[Plan]) -> list[Finding]:
        processes = [
            Process(
                module=f"tie_forwarder.trial.{plan.module}",
                settings=plan.settings,
                expected=expected(plan.module, plan.settings),
            )
            for plan in planned
        ]
        waiting = list(processes)
        try:
            while self._left() and not all(process.over for process in processes):
                running = sum(process.running for process in processes)
                for process in waiting[: _MOST_PROCESSES - running]:
                    waiting.remove(process)
                    process.start()
                time.sleep(_LOOK_SECONDS)
            return [finding for process in processes for finding in process.findings()]
        finally:
            for process in processes:
                process.kill()


def _forgiving(findings: Sequence[Finding]) -> list[Finding]:
    """What failed alone and is no harm beside the rest."""
    well = any(finding.code == "fabric.canary" and finding.state is State.OK for finding in findings)
    runs = any(finding.code == "service.state" for finding in findings)
    return [_forgiven(finding, one_broker_is_well=well, service_runs=runs) for finding in findings]


def _forgiven(finding: Finding, *, one_broker_is_well: bool, service_runs: bool) -> Finding:
    """One broker of the fabric is enough, and the service itself may use its spool."""
    if finding.state is not State.FAILED:
        return finding
    if finding.area == "fabric" and one_broker_is_well:
        return finding._replace(state=State.WARNING)
    if finding.code == "disk.lock" and service_runs:
        return ok(finding.code, finding.subject, f"{finding.found}, the service itself")
    return finding


def _told(fault: Fault) -> tuple[str, str]:
    return str(Fault("", fault.field, fault.value, fault.message, "")), fault.remedy


def _untried(why: str) -> list[Finding]:
    first = {code.partition(".")[0]: code for code in reversed(LINES)}
    return [not_tried(first[area], heading, why) for area, heading in AREAS.items() if area != "configuration"]


def _unique(findings: Sequence[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


_DISK = "see whether their disk answers, and that they are plain files"
