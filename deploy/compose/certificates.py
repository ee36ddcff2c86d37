"""Makes the certificates of the simulated fabric: `certificates.py DIRECTORY HOST:PORT CLIENT...`

Writes there `ca.crt`, the broker's certificate and key, and for each client a folder with certificate, key and
`dxlclient.config`. What is there and good for another week stays as it is. Of a real fabric
`python -m dxlclient provisionconfig` gets the same files.
"""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tie_forwarder.config.certificates import certificate_expiry
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.demo.servers import write_dxlclient_config

_LEFT = timedelta(days=7)


def main(directory: Path, broker: str, clients: list[str]) -> None:
    """Make all of them, unless the broker's is still good: all end on the same day."""
    certificate = directory / "broker.crt"
    if certificate.exists() and certificate_expiry(certificate) > datetime.now(UTC) + _LEFT:
        return
    host, _, port = broker.rpartition(":")
    authority = Authority(directory)
    for client in clients:
        folder = directory / client
        folder.mkdir(exist_ok=True)
        identity = authority.issue(client)
        for file in (identity.certificate, identity.key):
            shutil.move(file, folder / file.name)
        identity.keystore.unlink()
        shutil.copy(authority.ca_file, folder)
        moved = type(identity)(folder / f"{client}.crt", folder / f"{client}.key", folder / f"{client}.pem")
        write_dxlclient_config(
            folder / "dxlclient.config",
            identity=moved,
            ca_file=folder / authority.ca_file.name,
            brokers=[(host, int(port))],
        )
    authority.issue("broker")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
