"""The embedded fabric: an MQTT broker that asks for client certificates as a DXL broker does, in a process of its own.

Owns: that process and its port. Must not: be taken for a DXL broker: it carries events unchanged, but does not stamp
who sent them.

The owner binds the port and hands the listening socket down, so that no other program can take the port in between.
Run with `-m`, the module is the broker itself.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING

from tie_forwarder.demo.leash import LeashedProcess
from tie_forwarder.errors import ForwarderError
from tie_forwarder.interpreter import python_command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tie_forwarder.demo.certificates import Authority, Identity

# What dxlclient offers for TLS 1.2, and nothing else; DXL brokers speak TLS 1.2.
_CIPHERS = "AES128-SHA256"
_BACKLOG = 100
_PROBE_SECONDS = 1.0


class EmbeddedFabric:
    """A broker on a free loopback port, from `start()` to `stop()`. It dies with this process, however that ends."""

    def __init__(self, *, authority: Authority, identity: Identity, directory: Path) -> None:
        self._ca_file = authority.ca_file
        self._identity = identity
        self._log = directory / "fabric.log"
        self._process: LeashedProcess | None = None
        self.host = "127.0.0.1"
        self.port = 0

    def start(self) -> None:
        """Start the broker and return at once; `port` is known and accepts connections from now on."""
        with socket.create_server((self.host, 0), backlog=_BACKLOG) as listener:
            self.port = int(listener.getsockname()[1])
            self._process = LeashedProcess(
                command=[
                    *python_command(__name__, "--listener", str(listener.fileno())),
                    *("--ca", str(self._ca_file)),
                    *("--certificate", str(self._identity.certificate), "--key", str(self._identity.key)),
                ],
                output=self._log,
                pass_fds=[listener.fileno()],
            )
            self._process.start()

    def wait_until_serving(self, timeout_seconds: float = 10.0) -> None:
        """Block until the broker has answered a TLS handshake; ForwarderError when it does not in time."""
        assert self._process is not None
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline and self._process.alive:
            if self._answers():
                return
        message = f"The embedded fabric on {self.host}:{self.port} does not answer: {self._process.last_output(1)}"
        raise ForwarderError(message, remedy="install it with: pip install 'tie-forwarder[demo]', or give --dxl-config")

    def stop(self) -> None:
        """End the broker; blocks until it is gone. Without effect when it does not run."""
        if self._process is not None:
            self._process.stop()

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self._ca_file))
        context.load_cert_chain(self._identity.certificate, self._identity.key)
        context.set_ciphers(_CIPHERS)
        try:
            with (
                socket.create_connection((self.host, self.port), timeout=_PROBE_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=self.host),
            ):
                return True
        except OSError:
            return False


def main(arguments: Sequence[str]) -> None:
    """Serve on an inherited listening socket until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    options = parser.parse_args(arguments)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=options.ca)
    context.load_cert_chain(options.certificate, options.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    asyncio.run(_serve(socket.socket(fileno=options.listener), context))


async def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
    from amqtt.broker import Broker
    from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType

    broker = Broker(
        BrokerConfig(
            # External: the broker's own TLS listener makes the client's certificate optional.
            listeners={"default": ListenerConfig(type=ListenerType.EXTERNAL)},
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
    )
    await broker.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), "default")

    server = await asyncio.start_server(connected, sock=listener, ssl=context)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
