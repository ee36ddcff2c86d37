"""What can only be seen on this machine: the files and directories that the configuration refers to.

Changes nothing and asks no network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tie_forwarder.config.certificates import (
    Finding,
    authority_findings,
    certificate_findings,
    key_findings,
    secret_findings,
)
from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.config.faults import Fault
from tie_forwarder.config.model import Config
from tie_forwarder.config.options import is_shown
from tie_forwarder.errors import ForwarderError
from tie_forwarder.filters.loading import list_faults


def verify(config: Config, *, now: datetime | None = None) -> list[Fault]:
    """Every fault that would stop the forwarder on this machine, seen with the rights of the present user."""
    fabric = FabricFile(file=config.dxl.config_file, place=_place(config, "dxl.config_file"))
    directory = config.spool.directory
    return [
        *fabric.faults(now=now),
        *(
            _fault(config, option, path, Finding(error.message, error.remedy))
            for option, path, error in list_faults(config.filters)
        ),
        *(_fault(config, *found) for found in _kafka_findings(config, now)),
        *(_fault(config, "spool.directory", directory, finding) for finding in _directory_findings(directory)),
    ]


def _kafka_findings(config: Config, now: datetime | None) -> Iterator[tuple[str, Path, Finding]]:
    security, registry = config.kafka.security, config.kafka.schema_registry
    secrets = {
        "security.key_password_file": security.key_password_file,
        "security.sasl.password_file": security.sasl.password_file,
        "schema_registry.password_file": registry.password_file,
    }
    for option, path in secrets.items():
        for finding in secret_findings(path) if path else ():
            yield f"kafka.{option}", path or Path(), finding
    for option, path in {"security.ca_file": security.ca_file, "schema_registry.ca_file": registry.ca_file}.items():
        for finding in authority_findings(path, now=now) if path else ():
            yield f"kafka.{option}", path or Path(), finding
    certificate = security.certificate_file
    if certificate is None:
        return
    for finding in certificate_findings(certificate, now=now):
        yield "kafka.security.certificate_file", certificate, finding
    option, key = ("key_file", security.key_file) if security.key_file else ("certificate_file", certificate)
    try:
        password = security.read_key_password()
    except ForwarderError:
        return  # said above, and without it nothing can be said about the key
    for finding in key_findings(key, certificate=certificate, password=password):
        yield f"kafka.security.{option}", key, finding


def _directory_findings(directory: Path) -> Iterator[Finding]:
    """Whether the directory can be written, or made."""
    existing = directory
    while not os.access(existing, os.F_OK) and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        yield Finding(f"cannot be used, because {existing} is not a directory", "give another directory")
    elif not os.access(existing, os.W_OK | os.X_OK):
        verb = "written" if existing == directory else f"made in {existing}"
        yield Finding(f"cannot be {verb}", "give the user who runs the forwarder the right to write there")


def _place(config: Config, field: str) -> str:
    return config.place_of(field) or str(config.file or "")


def _fault(config: Config, field: str, path: Path, finding: Finding) -> Fault:
    value = str(path) if is_shown(tuple(field.split("."))) else None
    return Fault(_place(config, field), field, value, finding.message, finding.remedy)
