"""Writes the standard `dxlclient.config`, as `python -m dxlclient provisionconfig` would for a real fabric.

Owns: that file's form. Must not: connect to anything.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tie_forwarder.demo.certificates import Identity


def write_dxlclient_config(
    path: Path,
    *,
    identity: Identity,
    ca_file: Path,
    brokers: Sequence[tuple[str, int]],
    client_id: str | None = None,
) -> Path:
    """Write a configuration for `brokers` (host, port) to `path` and return it.

    Files are named relative to the configuration where they lie beside or below it, so that the folder can be moved;
    all others by their absolute path. Without `client_id` dxlclient makes one up at each start.
    """
    lines = [
        "[Certs]",
        f"BrokerCertChain = {_reference(ca_file, path)}",
        f"CertFile = {_reference(identity.certificate, path)}",
        f"PrivateKey = {_reference(identity.key, path)}",
        "",
        "[Brokers]",
    ]
    for host, port in brokers:
        broker_id = f"{{{uuid.uuid4()}}}"
        lines.append(f"{broker_id} = {broker_id};{port};{host};{host}")
    if client_id is not None:
        lines += ["", "[General]", f"ClientId = {client_id}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _reference(target: Path, config: Path) -> str:
    relative = os.path.relpath(target.absolute(), config.absolute().parent)
    return str(target.absolute()) if relative.startswith(os.pardir) else relative
