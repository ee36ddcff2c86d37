"""Runs a unit's ExecStart under what the unit says, by bubblewrap: the part of it that needs no service manager.

Read-only system, private /tmp and /dev, no home directories, a user without any right, no new privileges, the filter of
system calls. Only the state directory is writable. Must not: weaken a directive to make the program run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.systemd.call_filter import CallFilter
from tests.systemd.unit_file import UnitFile

_USER = "10001"
_OF_ETC = ("ssl", "resolv.conf", "hosts", "nsswitch.conf", "ld.so.cache", "localtime")
_FILTER = 9
"""The file descriptor by which bubblewrap takes the filter."""


class Sandbox:
    """One service: `etc`, `state`, `credentials` and `run` are the host's directories that stand for its own."""

    def __init__(self, *, directory: Path, unit: UnitFile | None = None) -> None:
        self.unit = unit or UnitFile()
        self.etc, self.state = directory / "etc", directory / "state"
        self.credentials, self.run = directory / "credentials", directory / "run"
        for path in (self.etc, self.state, self.credentials, self.run):
            path.mkdir(parents=True, exist_ok=True)
        self._filter = directory / "filter.bpf"

    def command(self, inner: list[str] | None = None, *, environment: Mapping[str, str] | None = None) -> list[str]:
        """The command that runs ExecStart, or another command, inside; `environment` is what a manager would add."""
        CallFilter(self.unit).write(self._filter)
        script = f'filter=$1; shift; exec "$@" {_FILTER}<"$filter"'
        bubblewrap = ["bwrap", "--seccomp", str(_FILTER), *self._isolation(), *self._tree()]
        bubblewrap += ["--clearenv", *self._environment(environment or {})]
        return ["sh", "-c", script, "sh", str(self._filter), *bubblewrap, *(inner or self.unit.command)]

    def _isolation(self) -> list[str]:
        expected = ("PrivateUsers", "NoNewPrivileges", "ProtectHostname", "RemoveIPC", "ProtectControlGroups")
        assert all(self.unit.says(name) for name in expected)
        assert self.unit.one("CapabilityBoundingSet") == ""
        return [
            "--die-with-parent", "--unshare-user", "--uid", _USER, "--gid", _USER, "--cap-drop", "ALL",
            "--unshare-uts", "--unshare-ipc", "--unshare-cgroup-try",
        ]  # fmt: skip

    def _tree(self) -> list[str]:
        assert self.unit.says("ProtectSystem", "strict")
        assert all(self.unit.says(name) for name in ("ProtectHome", "PrivateTmp", "PrivateDevices"))
        arguments = ["--tmpfs", "/"]
        for path in map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib64")):
            if path.is_symlink():
                arguments += ["--symlink", str(path.readlink()), str(path)]
            elif path.exists():
                arguments += _read_only(path, path)
        for name in _OF_ETC:
            if (Path("/etc") / name).exists():
                arguments += _read_only(Path("/etc") / name, Path("/etc") / name)
        arguments += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", *self._program()]
        arguments += _read_only(self.etc, Path("/etc/tie-forwarder"))
        arguments += _read_only(self.credentials, Path("/run/credentials"))
        arguments += ["--bind", str(self.run), "/run/systemd"]
        arguments += ["--bind", str(self.state), f"/var/lib/{self.unit.one('StateDirectory')}"]
        return [*arguments, "--remount-ro", "/"]

    def _program(self) -> list[str]:
        """The program where ExecStart looks for it: the one under test, and the interpreter below it."""
        repository = Path(__file__).parent.parent.parent
        program = Path(self.unit.command[1])
        arguments = ["--tmpfs", str(program.parent), *_read_only(Path(sys.prefix) / "bin" / program.name, program)]
        for path in (Path(sys.prefix), Path(sys.base_prefix), repository / "tie_forwarder"):
            if not path.is_relative_to("/usr"):
                arguments += _read_only(path, path)
        return arguments

    def _environment(self, added: Mapping[str, str]) -> list[str]:
        values = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CREDENTIALS_DIRECTORY": "/run/credentials"}
        values |= {**self.unit.environment, **added}
        return [text for name, value in values.items() for text in ("--setenv", name, value)]


def _read_only(source: Path, target: Path) -> list[str]:
    return ["--ro-bind", str(source), str(target)]
