"""A seccomp filter made from a unit's own directives, as systemd makes it, with the same library.

Owns: what SystemCallFilter and the directives that are system call filters too mean. The groups of calls (@...) are
those of the systemd that is installed, which is asked for them.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import socket
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.systemd.unit_file import UnitFile

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NOT_EQUAL, _MASKED_EQUAL, _GREATER = 1, 7, 6
_NAMESPACES = 0x7E020080
"""CLONE_NEW* of clone(2): cgroup, uts, ipc, user, pid, net, mount, time."""
_EXECUTABLE_SEGMENT = 0o100000


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


class CallFilter:
    """The filter of a unit; `write` leaves it as the kernel takes it."""

    def __init__(self, unit: UnitFile) -> None:
        self._unit = unit
        self._library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._library.seccomp_rule_add_array.argtypes = (
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
        )  # fmt: skip
        self._library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)

    def allowed(self) -> set[str]:
        """The names of the calls that SystemCallFilter allows."""
        calls = set(_calls(["@default"]))
        for value in self._unit.all("SystemCallFilter"):
            if value.startswith("~"):
                calls -= set(_calls(value.lstrip("~").split())) - set(_calls(["@default"]))
            else:
                calls |= set(_calls(value.split()))
        return calls

    def write(self, path: Path) -> Path:
        """Write the filter to `path` and return it. Two programs: the kernel runs one, so they are one here."""
        denied = getattr(errno, self._unit.one("SystemCallErrorNumber"))
        context = self._library.seccomp_init(_ERRNO | denied)
        for name in self.allowed() - self._guarded():
            self._rule(context, _ALLOW, name)
        self._families(context)
        self._memory(context)
        self._namespaces(context)
        with path.open("wb") as file:
            assert self._library.seccomp_export_bpf(context, file.fileno()) == 0
        return path

    def _guarded(self) -> set[str]:
        """Calls whose arguments decide."""
        guarded = {"socket", "mmap", "mprotect", "pkey_mprotect", "shmat", "unshare", "setns", "clone", "clone3"}
        return guarded | {"personality"}  # LockPersonality: Python never asks for another one

    def _families(self, context: int) -> None:
        for family in self._unit.one("RestrictAddressFamilies").split():
            self._rule(context, _ALLOW, "socket", _Comparison(0, 4, getattr(socket, family), 0))

    def _memory(self, context: int) -> None:
        """No memory is both writable and executable, and none becomes executable later."""
        assert self._unit.says("MemoryDenyWriteExecute")
        both = mmap.PROT_WRITE | mmap.PROT_EXEC
        for part in (0, mmap.PROT_WRITE, mmap.PROT_EXEC):
            self._rule(context, _ALLOW, "mmap", _Comparison(2, _MASKED_EQUAL, both, part))
        for name in ("mprotect", "pkey_mprotect"):
            self._rule(context, _ALLOW, name, _Comparison(2, _MASKED_EQUAL, mmap.PROT_EXEC, 0))
        self._rule(context, _ALLOW, "shmat", _Comparison(2, _MASKED_EQUAL, _EXECUTABLE_SEGMENT, 0))

    def _namespaces(self, context: int) -> None:
        assert self._unit.says("RestrictNamespaces")
        self._rule(context, _ALLOW, "clone", _Comparison(0, _MASKED_EQUAL, _NAMESPACES, 0))
        # Its flags lie in memory, where no filter can look: the C library then uses clone.
        self._rule(context, _ERRNO | errno.ENOSYS, "clone3")

    def _rule(self, context: int, action: int, name: str, *comparisons: _Comparison) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return  # not a call of this machine's architecture
        array = (_Comparison * len(comparisons))(*comparisons)
        done = self._library.seccomp_rule_add_array(context, action, number, len(comparisons), array)
        assert done == 0, f"{name}: libseccomp answers {done}"


def _calls(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name.startswith("@"):
            yield from _calls(_group(name))
        else:
            yield name


def _group(name: str) -> list[str]:
    done = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    lines = [line.strip() for line in done.stdout.splitlines()[1:]]
    return [line for line in lines if line and not line.startswith("#")]
