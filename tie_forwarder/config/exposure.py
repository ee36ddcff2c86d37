"""What other users of this machine can do with the files that the configuration names: read secrets, write or replace.

These are warnings: the forwarder works, and in a container there may be no other user.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.config.faults import Fault
from tie_forwarder.config.model import Config
from tie_forwarder.config.options import leaf_options


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
