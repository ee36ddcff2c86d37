"""`tie-forwarder check`: the effective configuration, one option a line, and every fault with its remedy.

Connects to nothing without `--connect`, and changes nothing with it. Secrets show only as set or not set.
"""

from __future__ import annotations

import logging
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
from tie_forwarder.supervisor.blueprint import publisher_configuration


@click.command
@click.option("--connect", is_flag=True, help="Ask Kafka and the schema registry, too. Changes nothing.")
@config_options
def check(connect: bool, config: Path | None, overrides: Mapping[str, str]) -> int:
    """Check the configuration and the files that it names.

    Prints every option with its effective value and ends with 78 when there is a fault. Connects to nothing, unless
    --connect says so: then it asks for servers, topics, rights, transactions and schemas, and ends with 1 when they
    would not let the forwarder do its work.
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
    if faults:
        return ConfigError.exit_code
    if connect:
        return _connect(loaded)
    click.echo("no fault found; nothing was connected to")
    return 0


def _connect(config: Config) -> int:
    """One line for each thing that was tried; 1 when one of them keeps the forwarder from its work."""
    from tie_forwarder.publisher.examination import Examination  # loads kafka-python, which a plain check does without

    logging.getLogger("kafka").addHandler(logging.NullHandler())  # what it has to say stands in the findings
    told = publisher_configuration(config, resume=None)
    examination = Examination(
        connection=told["connection"],
        topics=told["topics"],
        group=told["group"] if told["delivery"] == "exactly_once" else None,
        registry=told["registry"],
    )
    faults = 0
    for finding in examination.run():
        mark = click.style("ok   ", fg="green") if finding.well else click.style("fault", fg="red", bold=True)
        click.echo(f"{mark}  {finding.subject}: {finding.found}", err=not finding.well)
        if not finding.well:
            faults += 1
            click.echo(f"       remedy: {finding.remedy}", err=True)
    click.echo(f"faults: {faults}" if faults else "no fault found", err=bool(faults))
    return 1 if faults else 0


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
        "schema registry": config.kafka.schema_registry.ca_file,
    }
    for role, path in paths.items():
        if path is None:
            continue
        try:
            mark = click.style("date ", fg="cyan")
            yield f"{mark}  {role}: {path} is valid until {certificate_expiry(path):%Y-%m-%d}"
        except ForwarderError:
            continue  # it is among the faults
