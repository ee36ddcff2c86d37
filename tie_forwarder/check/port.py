"""The port of `http.listen`: free, or held, and by whom; and what the service says of itself where it runs already."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tie_forwarder.check.findings import Finding, Step, Trying, failed, ok, warning

_CODE = "port.free"
_ANSWER_SECONDS = 2.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is bound everywhere is asked at home
_MOST_BYTES = 256 * 1024
_LONGEST_TEXT = 1_000
_LISTENING = "0A"
_WELL = ("ok", "standby")


def steps(settings: dict[str, Any]) -> Iterator[Step]:
    """`listen` is the option, `host` and `port` are its parts; `group` and `member` say who we are."""
    listen = settings["listen"]
    yield Trying(_CODE, listen or "none")
    if listen is None:
        yield ok(_CODE, "none", "http.listen is null: nothing is served")
        return
    host, port = settings["host"], settings["port"]
    try:
        _bind(host, port)
    except OSError as error:
        yield from _held(settings, listen) if error.errno == errno.EADDRINUSE else [_impossible(listen, error)]
        return
    yield ok(_CODE, listen, "free" if port else "any free port will be taken")


def _bind(host: str, port: int) -> None:
    """As the service does, but without listening, so that one that starts at this moment is not in its way."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, kind) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind(address)


def _impossible(listen: str, error: OSError) -> Finding:
    reasons = {
        errno.EADDRNOTAVAIL: ("this machine has no such address", "set http.listen to an address of this machine"),
        errno.EACCES: ("this user may not use that port", "set http.listen to a port of 1024 or more"),
    }
    text, remedy = reasons.get(error.errno or 0, (error.strerror or str(error), "correct http.listen"))
    return failed(_CODE, listen, text, remedy)


def _held(settings: dict[str, Any], listen: str) -> Iterator[Finding]:
    answer = _ask(_LOOPBACK.get(settings["host"], settings["host"]), settings["port"])
    try:
        found = None if answer is None else _told_by(answer, settings, listen)
    except (AttributeError, KeyError, TypeError):
        found = None  # it answers, but not as a tie-forwarder does
    if found is None:
        process = _process_listening(settings["port"])
        found = [failed(_CODE, listen, f"held by {process}", f"stop that, or {_OTHER}")]
    yield from found


def _told_by(answer: dict[str, Any], settings: dict[str, Any], listen: str) -> list[Finding]:
    group = answer["group"]
    who = f"{group['member']} of the group {group['name']}, version {answer['version']}"
    if (group["name"], group["member"]) != (settings["group"], settings["member"]):
        return [failed(_CODE, listen, _cut(f"held by another tie-forwarder: {who}"), _OTHER)]
    return [ok(_CODE, listen, _cut(f"held by the service itself, which runs: {who}")), _state(answer)]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def _state(status: dict[str, Any]) -> Finding:
    """What the running service says; a warning where it is not well, since what is tried here decides."""
    code, subject = "service.state", str(status["group"]["member"])
    state, since = status["state"], f"since {status['since']}"
    if state in _WELL and not status["problems"]:
        return ok(code, subject, f"{state} {since}")
    problems = status["problems"]
    told = "; ".join(f"{problem['reason']}: {problem['detail']}" for problem in problems)
    remedies = dict.fromkeys(problem["remedy"] for problem in problems if problem["remedy"])
    return warning(code, subject, _cut(f"{state} {since}: {told}"), _cut("; ".join(remedies) or "see its log"))


def _ask(host: str, port: int) -> dict[str, Any] | None:
    """What a tie-forwarder says of itself; None where it is none."""
    connection = HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/status", headers={"Accept": "application/json"})
        answer = json.loads(connection.getresponse().read(_MOST_BYTES))
    except (OSError, HTTPException, ValueError, RecursionError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) and "ledger" in answer else None


def _process_listening(port: int) -> str:
    """Its number and command, where this user may see them."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another user
            if any(str(file.readlink()) in sockets for file in (directory / "fd").iterdir()):
                command = (directory / "comm").read_text().strip()
                return f"process {directory.name} ({command}), which is no tie-forwarder that answers"
    return "a process of another user, which is no tie-forwarder that answers"


def _inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


_OTHER = "set http.listen to another port"
