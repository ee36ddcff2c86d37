"""The files of one installed service: configuration, certificates and secrets, as docs/deploy.md lays them out.

Owns: the content of the sandbox's /etc/tie-forwarder. Must not: start anything.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.harness.fabric import Fabric
from tie_forwarder.demo.certificates import Identity
from tie_forwarder.demo.servers import write_dxlclient_config

SPOOL = "/var/lib/tie-forwarder/spool"


def lay_out(
    etc: Path, *, fabric: Fabric, name: str, config: Mapping[str, Mapping[str, Any]], spool: str = SPOOL
) -> None:
    """Write config.yaml, dxlclient.config and the certificates that it names, all of them in `etc`."""
    identity = fabric.identity(name)
    copies = [Path(shutil.copy(path, etc)) for path in (identity.certificate, identity.key, fabric.authority.ca_file)]
    certificate, key, authority = copies
    write_dxlclient_config(
        etc / "dxlclient.config",
        identity=Identity(certificate=certificate, key=key, keystore=key),
        ca_file=authority,
        brokers=[("127.0.0.1", fabric.port)],
    )
    place = {"dxl": {"config_file": "dxlclient.config"}, "spool": {"directory": spool}}
    (etc / "config.yaml").write_text(yaml.safe_dump({**config, **place}), encoding="utf-8")
