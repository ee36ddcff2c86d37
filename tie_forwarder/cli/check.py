"""`tie-forwarder check`: the effective configuration, one option a line, and every fault with its remedy.

Connects to nothing without `--connect`, and changes nothing with it. Secrets show only as set or not set.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ByteSize, SecretStr

from tie_forwarder.cli import config_options
from tie_forwarder.config import Config, ConfigError, Fault, load
from tie_forwarder.config.certificates import certificate_expiry
from tie_forwarder.config.exposure import exposures
from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.config.options import is_shown, leaf_options
from tie_forwarder.config.verification import verify
from tie_forwarder.errors import ForwarderError

if TYPE_CHECKING:  # loaded only where it is asked to connect
    from tie_forwarder.trial.session import Result

_TRIAL_SECONDS = 10.5
"""Of the fifteen that are promised: an interpreter must start and end within them, too."""

_LOADING_SECONDS = 3.0


@click.command
@click.option("--connect", is_flag=True, help="Try everything that the service needs, once. Changes nothing.")
@click.option("--create-topics", is_flag=True, help="With --connect: make the topics that are missing in Kafka.")
@click.option("--json", "as_document", is_flag=True, help="With --connect: print one JSON object.")
@config_options
def check(
    connect: bool, create_topics: bool, as_document: bool, config: Path | None, overrides: Mapping[str, str]
) -> int:
    """Check the configuration and the files that it names.

    Prints every option with its effective value and ends with 78 when there is a fault. Connects to nothing, unless
    --connect says so: then it tries everything that the service needs, beside a running one or before the first, within
    15 seconds, and ends with 0 when the service would work, else with 1, or with 78 when it would not even start.
    """
    if connect:
        return _connect(config, overrides, create_topics=create_topics, as_document=as_document)
    for option, given in {"--create-topics": create_topics, "--json": as_document}.items():
        if given:
            raise click.UsageError(f"{option} goes with --connect")
    loaded = load(config, overrides=overrides)
    faults = verify(loaded)
    click.echo(f"configuration {loaded.file}")
    for line in _option_lines(loaded, faults):
        click.echo(line)
    for line in _certificate_lines(loaded):
        click.echo(line)
    for warning in exposures(loaded):
        click.echo(f"{click.style('warn ', fg='yellow')}  {warning}")
    for fault in faults:
        click.echo(f"{click.style('fault', fg='red', bold=True)}  {fault}", err=True)
    if faults:
        return ConfigError.exit_code
    click.echo("no fault found; nothing was connected to")
    return 0


def _connect(config: Path | None, overrides: Mapping[str, str], *, create_topics: bool, as_document: bool) -> int:
    """One line for each thing that was tried."""
    from tie_forwarder.cli.findings import as_json, as_lines, as_page

    with _patience():
        result = _tried(config, overrides, create_topics=create_topics)
    if as_document:
        click.echo(as_json(result))
        return result.exit_code
    page = as_page(result, columns=shutil.get_terminal_size().columns) if sys.stdout.isatty() else as_lines(result)
    for line in page:
        click.echo(line)
    return result.exit_code


@contextmanager
def _patience() -> Iterator[None]:
    """Tells a person who waits at a terminal how long that may be; nothing of it stays."""
    shown = sys.stderr.isatty()
    if shown:
        click.echo("trying everything, which takes 15 seconds at most ...", nl=False, err=True)
    try:
        yield
    finally:
        if shown:
            click.echo("\r\x1b[K", nl=False, err=True)


def _tried(config: Path | None, overrides: Mapping[str, str], *, create_topics: bool) -> Result:
    from tie_forwarder.trial.bounded import bounded
    from tie_forwarder.trial.session import Trial, refused, unreadable

    deadline = time.monotonic() + _TRIAL_SECONDS
    try:
        loaded = bounded(lambda: load(config, overrides=overrides), seconds=_LOADING_SECONDS, what="the configuration")
    except ConfigError as error:
        return refused(error.faults)
    except ForwarderError as error:
        return unreadable(str(config or "configuration"), error)
    return Trial(loaded, create_topics=create_topics, deadline=deadline).run()


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
        # A password in place of the name of its file must not be shown.
        text = "set, not shown" if name in faulty and not is_shown(option) else _shown(value)
        yield f"{mark}  {name} = {text}{origin}"


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
