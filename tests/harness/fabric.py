"""What a client needs to reach a fabric of the tests, whichever server it is.

Owns: the identities that clients get. Must not: start anything.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from tie_forwarder.demo.certificates import Authority, Identity
from tie_forwarder.demo.servers import write_dxlclient_config


class Fabric:
    """A broker's address on 127.0.0.1 and the authority that signs for it and for its clients."""

    def __init__(self, *, directory: Path, authority: Authority, port: int) -> None:
        self.directory = directory
        self.authority = authority
        self.port = port
        self._identities: dict[str, Identity] = {}

    def identity(self, name: str) -> Identity:
        """The certificate and key of the client `name`, issued at the first call (some 100 ms of CPU)."""
        if name not in self._identities:
            self._identities[name] = self.authority.issue(name)
        return self._identities[name]

    def client_config(self, name: str, *, client_id: str | None = None) -> Path:
        """Write `<name>.dxlclient.config` for a client with an identity of its own and return its path."""
        self.directory.mkdir(parents=True, exist_ok=True)
        return write_dxlclient_config(
            self.directory / f"{name}.dxlclient.config",
            identity=self.identity(name),
            ca_file=self.authority.ca_file,
            brokers=[("127.0.0.1", self.port)],
            client_id=client_id,
        )

    def client_tls(self, name: str) -> ssl.SSLContext:
        """A TLS context for a client with the identity `name`."""
        identity = self.identity(name)
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        context.load_cert_chain(identity.certificate, identity.key)
        return context
