"""`tie-forwarder version`: what runs here, for reports of faults."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

import click

from tie_forwarder import __version__

_PACKAGES = ("dxlclient", "dxltieclient", "kafka-python")


def version_lines() -> list[str]:
    """One line for each part, without loading any of them."""
    return [
        f"tie-forwarder {__version__}",
        f"python {platform.python_version()}",
        *(f"{package} {_installed(package)}" for package in _PACKAGES),
    ]


@click.command
def version() -> None:
    """Show the versions of everything involved."""
    click.echo("\n".join(version_lines()))


def _installed(package: str) -> str:
    try:
        return installed_version(package)
    except PackageNotFoundError:
        return "is not installed"
