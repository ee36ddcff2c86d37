"""The whole check: all areas side by side, each in its own process, with an end in time whatever hangs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from tie_forwarder.check import kafka
from tie_forwarder.check.disk import bounded
from tie_forwarder.check.findings import AREAS, LINES, Finding, State, Trying, failed, not_tried, ok, warning
from tie_forwarder.check.topics import largest_batches
from tie_forwarder.config import Config, ConfigError, Fault
from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.config.inspection import inspect
from tie_forwarder.errors import ForwarderError
from tie_forwarder.interpreter import child_environment, python_command
from tie_forwarder.settings import publisher_configuration, replay_id

_OF_A_CLIENT = ("file", "expiry", "signature", "key", "chain")
_OF_AUTHORITIES = ("file", "expiry", "chain")
_OF_A_BROKER = ("name", "tcp", "tls", "connack", "subscription", "canary")
_OF_A_TOPIC = (
    "exists", "replication", "in_sync", "retention", "cleanup", "size", "compression", "timestamps", "rights",
)  # fmt: skip
_OF_THE_DISK = ("rights", "lock", "file_system", "space", "flush")

Settings = dict[str, Any]


def expected(module: str, settings: Settings) -> list[Trying]:
    """Code and subject of each line of an area, in their order."""
    return _BY_MODULE[module](settings)


def _certificates(settings: Settings) -> list[Trying]:
    return [
        Trying(f"certificate.{aspect}", file["role"])
        for file in settings["files"]
        for aspect in (_OF_A_CLIENT if file["kind"] == "client" else _OF_AUTHORITIES)
    ]


def _fabric(settings: Settings) -> list[Trying]:
    return [Trying(f"fabric.{aspect}", f"{settings['host']}:{settings['port']}") for aspect in _OF_A_BROKER]


def _kafka(settings: Settings) -> list[Trying]:
    connection, group = settings["connection"], settings["group"]
    servers = connection["bootstrap_servers"]
    lines = [Trying("kafka.server", server) for server in servers]
    if str(connection["security_protocol"]).startswith("SASL"):
        lines += [Trying("kafka.login", server) for server in servers]
    lines.append(Trying("kafka.cluster", "cluster"))
    lines += [Trying(f"topic.{aspect}", topic) for topic in settings["topics"] for aspect in _OF_A_TOPIC]
    if group is not None:
        lines += [Trying("transactions.ability", group), Trying("transactions.rights", group)]
        lines.append(Trying("transactions.replay", settings["replay"]))
    return [*lines, Trying(kafka.CODE, kafka.SUBJECT)]


def _registry(settings: Settings) -> list[Trying]:
    return [Trying("registry.schemas", settings["registry"]["url"])]


def _disk(settings: Settings) -> list[Trying]:
    return [Trying(f"disk.{aspect}", settings["directory"]) for aspect in _OF_THE_DISK]


def _port(settings: Settings) -> list[Trying]:
    return [Trying("port.free", settings["listen"] or "none")]


_BY_MODULE: dict[str, Callable[[Settings], list[Trying]]] = {
    "certificates": _certificates,
    "fabric": _fabric,
    "kafka": _kafka,
    "registry": _registry,
    "disk": _disk,
    "port": _port,
}


class Plan(NamedTuple):
    """One area, or one broker of the fabric."""

    module: str
    settings: dict[str, Any]


def plans(config: Config, *, create_topics: bool) -> list[Plan]:
    """Everything that can be tried. Raises ForwarderError where a secret file cannot be read."""
    fabric = FabricFile(file=config.dxl.config_file, place="")
    told = publisher_configuration(config, resume=None)
    found = [
        Plan("certificates", {"files": _plan_certificates(config, fabric)}),
        *(Plan("fabric", settings) for settings in _brokers(config, fabric)),
        Plan("kafka", _plan_kafka(config, told, create_topics=create_topics)),
    ]
    if told["registry"] is not None:
        found.append(Plan("registry", {"registry": told["registry"], "topics": told["topics"]}))
    spool = {"directory": str(config.spool.directory), "max_bytes": int(config.spool.max_bytes)}
    return [*found, Plan("disk", spool), Plan("port", _plan_port(config))]


def _plan_certificates(config: Config, fabric: FabricFile) -> list[dict[str, Any]]:
    security = config.kafka.security
    authorities = {
        "DXL brokers": fabric.certificate("BrokerCertChain"),
        "Kafka brokers": security.ca_file,
        "schema registry": config.kafka.schema_registry.ca_file,
    }
    files: list[dict[str, Any]] = []
    certificate, key = fabric.certificate("CertFile"), fabric.certificate("PrivateKey")
    if certificate is not None and key is not None:
        files.append(_client("DXL client", certificate, key, None, authorities["DXL brokers"]))
    if security.certificate_file is not None:
        key = security.key_file or security.certificate_file
        password = security.read_key_password()
        files.append(_client("Kafka client", security.certificate_file, key, password, authorities["Kafka brokers"]))
    return [
        *files,
        *(
            {"role": role, "kind": "authorities", "path": str(path)}
            for role, path in authorities.items()
            if path is not None
        ),
    ]


def _client(role: str, path: object, key: object, password: str | None, authorities: object) -> dict[str, Any]:
    return {
        "role": role,
        "kind": "client",
        "path": str(path),
        "key": str(key),
        "password": password,
        "authorities": None if authorities is None else str(authorities),
    }


def _brokers(config: Config, fabric: FabricFile) -> list[dict[str, Any]]:
    files = {setting: fabric.certificate(setting) for setting in ("CertFile", "PrivateKey", "BrokerCertChain")}
    if None in files.values():
        return []
    shared = {
        "config_file": str(config.dxl.config_file),
        "events": list(config.dxl.events),
        "websockets": fabric.by_websockets,
        "proxy": fabric.proxy,
        "certificate": str(files["CertFile"]),
        "key": str(files["PrivateKey"]),
        "authorities": str(files["BrokerCertChain"]),
    }
    return [
        {"host": broker.host, "port": broker.port, "address": broker.address, **shared} for broker in fabric.brokers()
    ]


def _plan_kafka(config: Config, told: dict[str, Any], *, create_topics: bool) -> dict[str, Any]:
    exactly_once = config.kafka.delivery == "exactly_once"
    return {
        "connection": told["connection"],
        "topics": list(dict.fromkeys(told["topics"].values())),
        "group": config.group.name if exactly_once else None,
        "replay": replay_id(config.group.name),
        "codec": told["options"].get("compression_type"),
        "create": create_topics,
        "largest": largest_batches(config),
        "memory_seconds": config.group.window_seconds + config.group.margin_seconds,
    }


def _plan_port(config: Config) -> dict[str, Any]:
    address = config.http.address
    return {
        "listen": config.http.listen,
        "host": None if address is None else address.host,
        "port": None if address is None else address.port,
        "group": config.group.name,
        "member": config.group.member,
    }


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
                python_command("tie_forwarder.check.child"),
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
                module=f"tie_forwarder.check.{plan.module}",
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
