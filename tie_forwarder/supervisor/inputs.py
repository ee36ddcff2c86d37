"""What each child is made from: its configuration and the content of the files that it reads.

Two of them are equal as long as a new process would be no other than the one that runs. A file that was written anew
with the same content is no change: configuration management does that every half hour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tie_forwarder.config import Config
from tie_forwarder.config.plain_file import read_file
from tie_forwarder.errors import ForwarderError
from tie_forwarder.supervisor.blueprint import publisher_configuration, receiver_configuration

_MOST_BYTES = 4 * 1024 * 1024


class Inputs(NamedTuple):
    """Of both children; to be compared, and never shown: there are secrets in them."""

    receiver: object
    publisher: object


def inputs_of(config: Config, dxl_files: Iterable[Path]) -> Inputs:
    """What new children would be made from now. Reads files; never raises."""
    security = config.kafka.security
    files = (security.ca_file, security.certificate_file, security.key_file, config.kafka.schema_registry.ca_file)
    try:
        told: object = _without_log_level(publisher_configuration(config, resume=None))
    except ForwarderError as error:
        told = str(error)  # a secret cannot be read just now
    return Inputs(
        receiver=(_without_log_level(receiver_configuration(config)), _contents([config.dxl.config_file, *dxl_files])),
        publisher=(told, _contents(path for path in files if path is not None)),
    )


def _without_log_level(configuration: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in configuration.items() if name != "log_level"}


def _contents(paths: Iterable[Path]) -> list[tuple[Path, str]]:
    """Each file with the digest of its content, or with why it cannot be read."""
    found = []
    for path in paths:
        try:
            found.append((path, hashlib.sha256(read_file(path, most_bytes=_MOST_BYTES)).hexdigest()))
        except OSError as error:
            found.append((path, str(error.strerror)))
    return found
