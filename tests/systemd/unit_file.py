"""Reads a unit file: the tests take every directive from it, so that they cannot speak of another service."""

from __future__ import annotations

import shlex
from collections import defaultdict
from pathlib import Path

DEPLOY = Path(__file__).parent.parent.parent / "deploy" / "systemd"


class UnitFile:
    """The directives of one file, by section and name, in their order."""

    def __init__(self, name: str = "tie-forwarder.service") -> None:
        self.path = DEPLOY / name
        self._directives: dict[tuple[str, str], list[str]] = defaultdict(list)
        section = ""
        for line in self.path.read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif "=" in line and not line.startswith("#"):
                name, _, value = line.partition("=")
                self._directives[section, name].append(value)

    def all(self, name: str, section: str = "Service") -> list[str]:
        """Every value of a directive."""
        return list(self._directives[section, name])

    def one(self, name: str, section: str = "Service") -> str:
        """The value of a directive that stands there once."""
        (value,) = self._directives[section, name]
        return value

    def says(self, name: str, value: str = "true") -> bool:
        """Whether a directive stands there with this value."""
        return value in self._directives[("Service", name)]

    def items(self) -> list[tuple[tuple[str, str], list[str]]]:
        """All directives."""
        return list(self._directives.items())

    @property
    def command(self) -> list[str]:
        """ExecStart, as the service manager splits it."""
        return shlex.split(self.one("ExecStart"))

    @property
    def environment(self) -> dict[str, str]:
        """What Environment sets."""
        return dict(text.split("=", 1) for value in self.all("Environment") for text in shlex.split(value))

    @property
    def credentials(self) -> dict[str, str]:
        """LoadCredential: what the program sees, and what the file in the store is called."""
        return dict(text.split(":", 1) for text in self.all("LoadCredential"))
