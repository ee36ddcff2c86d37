"""`tie-forwarder check`: the effective configuration, one option a line, and every fault with its remedy.

Connects to nothing. Secrets show only as set or not set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import ByteSize, SecretStr

from tie_forwarder.cli import config_options
from tie_forwarder.config import Config, ConfigError, Fault, load
from tie_forwarder.config.certificates import certificate_expiry
from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.config.options import leaf_options
from tie_forwarder.config.verification import verify
from tie_forwarder.errors import ForwarderError


@click.command
@config_options
def check(config: Path | None, overrides: Mapping[str, str]) -> int:
    """Check the configuration and the files that it names.

    Prints every option with its effective value and ends with 78 when there is a fault. Connects to nothing.
    """
    loaded = load(config, overrides=overrides)
    faults = verify(loaded)
    click.echo(f"configuration {loaded.file}")
    for line in _option_lines(loaded, faults):
        click.echo(line)
    for line in _certificate_lines(loaded):
        click.echo(line)
    for fault in faults:
        click.echo(f"{click.style('fault', fg='red', bold=True)}  {fault}", err=True)
    if not faults:
        click.echo("no fault found; nothing was connected to")
    return ConfigError.exit_code if faults else 0


def _option_lines(config: Config, faults: Sequence[Fault]) -> Iterator[str]:
    names = {".".join(option) for option in leaf_options()}
    faulty = {fault.field if fault.field in names else "dxl.config_file" for fault in faults}
    for option in leaf_options():
        name = ".".join(option)
        mark = click.style("fault", fg="red") if name in faulty else click.style("ok   ", fg="green")
        value: Any = config
        for part in option:
            value = getattr(value, part)
        origin = click.style(f"  ({config.place_of(name) or 'default'})", dim=True)
        yield f"{mark}  {name} = {_shown(value)}{origin}"


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, SecretStr):
        return "set, not shown"
    if isinstance(value, bool | float):
        return f"{value:g}" if isinstance(value, float) else str(value).lower()
    if isinstance(value, ByteSize):
        return value.human_readable()
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_unless_url(inner)}" for name, inner in value.items()) or "none"
    return str(value)


def _unless_url(value: Any) -> str:
    """A proxy's URL may hold a password."""
    return "set, not shown" if "@" in str(value) else str(value)


def _certificate_lines(config: Config) -> Iterator[str]:
    fabric = FabricFile(file=config.dxl.config_file, place="")
    paths = {
        "DXL client": fabric.certificate("CertFile"),
        "DXL brokers": fabric.certificate("BrokerCertChain"),
        "Kafka client": config.kafka.security.certificate_file,
        "Kafka brokers": config.kafka.security.ca_file,
    }
    for role, path in paths.items():
        if path is None:
            continue
        try:
            mark = click.style("date ", fg="cyan")
            yield f"{mark}  {role}: {path} is valid until {certificate_expiry(path):%Y-%m-%d}"
        except ForwarderError:
            continue  # it is among the faults
