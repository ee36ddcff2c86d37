"""Check what the configuration refers to on this machine: files, directories, certificates and their permissions."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from tie_forwarder.config.certificates import (
    Finding,
    authority_findings,
    certificate_findings,
    key_findings,
    secret_findings,
)
from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.config.faults import Fault, is_shown, leaf_options
from tie_forwarder.config.list_files import list_faults
from tie_forwarder.config.model import Config
from tie_forwarder.errors import ForwarderError


def exposures(config: Config) -> list[Fault]:
    """Every file that other users can read or write though they should not. Reads the disk; never raises.

    A path that cannot be looked at is no finding here: `verify` reports it without its value, which may be a secret.
    """
    fabric = FabricFile(file=config.dxl.config_file, place="")
    found: dict[str, Fault] = {}
    for name, path in _secret_files(config, fabric):
        if _others_can(path, stat.S_IROTH):
            message = "holds a secret, and every user of this machine can read it"
            _add(found, config, name, path, message, f"chmod o-rwx {path}")
    for name, path in [*_secret_files(config, fabric), *_other_files(config, fabric)]:
        if _others_can(path, stat.S_IWOTH):
            message = "can be written by every user of this machine"
            _add(found, config, name, path, message, f"chmod o-w {path}")
        for directory in _directories_above(path):
            # In a directory with the sticky bit, as /tmp, only the owner of a file can replace it.
            if _others_can(directory, stat.S_IWOTH) and not _mode(directory) & stat.S_ISVTX:
                message = f"can be replaced by every user of this machine, who can write {directory}"
                _add(found, config, name, path, message, f"chmod o-w {directory}", key=f"replaced {directory}")
    return list(found.values())


def _add(
    found: dict[str, Fault], config: Config, name: str, path: Path, message: str, remedy: str, *, key: str = ""
) -> None:
    place = config.place_of(name) or str(config.file or "")
    found.setdefault(key or f"{path} {message}", Fault(place, name, str(path), message, remedy))


def _secret_files(config: Config, fabric: FabricFile) -> Iterator[tuple[str, Path]]:
    security, registry = config.kafka.security, config.kafka.schema_registry
    if config.file is not None and _holds_a_secret(config):
        yield "", config.file
    if fabric.holds_a_secret:
        yield "dxl.config_file", config.dxl.config_file
    named = {
        "[Certs] PrivateKey": fabric.certificate("PrivateKey"),
        "kafka.security.key_file": security.key_file,
        "kafka.security.key_password_file": security.key_password_file,
        "kafka.security.sasl.password_file": security.sasl.password_file,
        "kafka.schema_registry.password_file": registry.password_file,
    }
    if security.key_file is None:
        named["kafka.security.certificate_file"] = security.certificate_file  # the key is in it
    yield from ((name, path) for name, path in named.items() if path is not None and _mode(path))


def _other_files(config: Config, fabric: FabricFile) -> Iterator[tuple[str, Path]]:
    security, registry, filters = config.kafka.security, config.kafka.schema_registry, config.filters
    named = {
        "": config.file,
        "dxl.config_file": config.dxl.config_file,
        "[Certs] BrokerCertChain": fabric.certificate("BrokerCertChain"),
        "[Certs] CertFile": fabric.certificate("CertFile"),
        "kafka.security.ca_file": security.ca_file,
        "kafka.security.certificate_file": security.certificate_file,
        "kafka.schema_registry.ca_file": registry.ca_file,
        "filters.hashes_file": filters.hashes_file,
        "filters.agents_file": filters.agents_file,
        "spool.directory": config.spool.directory,
    }
    yield from ((name, path) for name, path in named.items() if path is not None)


def _holds_a_secret(config: Config) -> bool:
    """Whether a secret was given in the file itself."""
    for option in leaf_options():
        value = config
        for part in option:
            value = getattr(value, part)
        from_elsewhere = config.place_of(".".join(option)).startswith(("environment variable", "command line"))
        if isinstance(value, SecretStr) and not from_elsewhere:
            return True
    return False


def _directories_above(path: Path) -> list[Path]:
    """Those that lead to the file, by its name and by what that is a link to."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` follows links, which are looked at, too
    return sorted({*absolute.parents, *_real(path).parents})


def _others_can(path: Path, bit: int) -> bool:
    """Whether the mode gives others this right, and the way to it."""
    parents = _real(path).parents
    return bool(_mode(path) & bit) and all(_mode(parent) & stat.S_IXOTH for parent in parents)


def _real(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # ValueError: there is a NUL in it
        return path


def _mode(path: Path) -> int:
    """The mode of the file; 0 where it cannot be looked at."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


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
