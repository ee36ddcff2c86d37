"""A handshake with a broker, TLS and login included, without kafka-python: it tells for certain what is wrong.

Also waits for Kafka that way, since a producer that fails leaks threads. The requests are those of Kafka's protocol
guide: ApiVersions, SaslHandshake, SaslAuthenticate.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, NamedTuple

from kafka.errors import for_code
from kafka.net.sasl import get_sasl_mechanism

from tie_forwarder.backoff import Backoff
from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, PublisherError, Verdict
from tie_forwarder.processes.log import log_exception

TLS_ALERT = b"\x15\x03"
"""How an answer begins that speaks TLS to one who does not."""

_METADATA, _SASL_HANDSHAKE, _API_VERSIONS, _SASL_AUTHENTICATE = 3, 17, 18, 36
_NO_TOPICS = struct.pack(">i", 0)
_LONGEST_ANSWER_BYTES = 1024 * 1024
_CLIENT_ID = b"tie-forwarder"


class Mechanisms(NamedTuple):
    """What a broker answers to a SASL handshake."""

    error: int
    offered: list[str]


class LoginStep(NamedTuple):
    """What a broker answers to a step of a login."""

    error: int
    message: str
    token: bytes


def ask_versions(stream: socket.socket) -> bytes:
    """The answer of whoever listens there, or its start where it is no answer of Kafka's. Raises EOFError, OSError."""
    return _ask(stream, _API_VERSIONS, 0, b"")


def takes_requests(stream: socket.socket) -> bool:
    """Whether a request that is no part of a login is answered; a listener that wants one hangs up. Raises OSError."""
    try:
        _ask(stream, _METADATA, 1, _NO_TOPICS)
    except (EOFError, ConnectionError):
        return False
    return True


def ask_mechanisms(stream: socket.socket, name: str) -> Mechanisms | None:
    """The answer to a SASL handshake; None where the listener ends the connection over it. Raises OSError."""
    try:
        answer = _ask(stream, _SASL_HANDSHAKE, 1, _text(name.encode()))
    except (EOFError, ConnectionError):
        return None
    if answer.startswith(TLS_ALERT):
        return None
    (error, count), rest = struct.unpack(">hi", answer[:6]), answer[6:]
    offered = []
    for _ in range(count):
        (length,) = struct.unpack(">h", rest[:2])
        offered.append(rest[2 : 2 + length].decode("utf-8", "replace"))
        rest = rest[2 + length :]
    return Mechanisms(error, offered)


def log_in(stream: socket.socket, token: bytes) -> LoginStep:
    """One step of a login. Raises EOFError, OSError, struct.error."""
    answer = _ask(stream, _SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
    (error, length), rest = struct.unpack(">hh", answer[:4]), answer[4:]
    size = max(0, length)
    return LoginStep(error, rest[:size].decode("utf-8", "replace"), rest[size + 4 :])


def _ask(stream: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """One request and the body of its answer, or the start of what is none. Raises EOFError, OSError."""
    request = struct.pack(">hhi", api, version, api) + _text(_CLIENT_ID) + body
    stream.sendall(struct.pack(">i", len(request)) + request)
    head = _read(stream, 4)
    (length,) = struct.unpack(">i", head)
    if head.startswith(TLS_ALERT) or not 4 <= length <= _LONGEST_ANSWER_BYTES:
        return head
    return _read(stream, length)[4:]


def _read(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError("it closed the connection")
        data += piece
    return data


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value


_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 3.0
_ALERT_SECONDS = 1.0
_UNSUPPORTED_MECHANISM, _NOT_ACCEPTED_HERE = 33, 34


def shake_hands(connection: dict[str, Any], server: str) -> Verdict | None:
    """Connects to `server` (host:port) with kafka-python's settings; None when a client is welcome, else why not.

    BLOCKED verdicts are what the broker itself has said; where its answer is not understood, the client may try. Blocks
    for some seconds at most; never raises.
    """
    try:
        _Attempt(connection, server).run()
    except _Refused as refused:
        return refused.verdict
    except (OSError, EOFError) as error:
        return Verdict(ErrorClass.TRANSIENT, "connection", f"{server}: {_said(error)}", REMEDIES["connection"])
    except Exception:  # noqa: BLE001 - this may only explain a failure: what it cannot explain must not become one
        log_exception("handshake.failed")
    return None


class _Refused(Exception):  # noqa: N818 - what the broker did
    def __init__(self, code: str, detail: str) -> None:
        self.verdict = Verdict(ErrorClass.BLOCKED, code, detail, REMEDIES[code])
        super().__init__(detail)


class _Attempt:
    """One server. `run` may connect several times."""

    def __init__(self, connection: dict[str, Any], server: str) -> None:
        self._settings = connection
        self._server = server
        host, _, port = server.rpartition(":")
        self._address = (host.strip("[]"), int(port))
        protocol = connection["security_protocol"]
        self._tls = protocol.endswith("SSL")
        self._sasl = protocol.startswith("SASL")

    def run(self) -> None:
        """Returns when a client is welcome; raises _Refused, OSError, EOFError."""
        try:
            self._converse(patient=False)
        except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError, EOFError):
            self._compare_protocols()
            # The alert that says what is wrong is lost when our request crosses it: wait for it this time.
            self._converse(patient=True)

    def _converse(self, *, patient: bool) -> None:
        with closing(self._connect(tls=self._tls)) as stream:
            if patient and self._tls:
                _wait_for_alert(stream)
            try:
                if self._sasl:
                    self._log_in(stream)
                else:
                    self._ask_versions(stream)
            except ssl.SSLError as error:
                self._judge_tls(error)

    def _connect(self, *, tls: bool, verify: bool = True) -> socket.socket:
        plain = socket.create_connection(self._address, timeout=_CONNECT_SECONDS)
        plain.settimeout(_ANSWER_SECONDS)
        if not tls:
            return plain
        try:
            context = self._context() if verify else _trusting_context()
            return context.wrap_socket(plain, server_hostname=self._address[0])
        except ssl.SSLError as error:
            plain.close()
            if verify:
                self._judge_tls(error)
            raise
        except BaseException:
            plain.close()
            raise

    def _context(self) -> ssl.SSLContext:
        """As kafka-python makes it."""
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = settings["ssl_check_hostname"]
        ca_file, certificate, key = (settings[f"ssl_{name}file"] for name in ("ca", "cert", "key"))
        try:
            if ca_file:
                context.load_verify_locations(ca_file)
            else:
                context.load_default_certs()
        except (OSError, ValueError) as error:
            raise _Refused("tls", f"the ca_file {ca_file} cannot be used: {_said(error)}") from error
        try:
            if certificate:
                # Without the empty password OpenSSL would ask for one at the terminal.
                context.load_cert_chain(certificate, key, settings["ssl_password"] or "")
        except (OSError, ValueError) as error:
            files = f"the certificate_file {certificate} with its key"
            raise _Refused("tls", f"{files} cannot be used: {_said(error)}") from error
        return context

    def _judge_tls(self, error: ssl.SSLError) -> None:
        if isinstance(error, ssl.SSLEOFError) or "EOF" in str(error):
            raise error
        if not self._speaks_tls():
            raise _Refused("tls", f"{self._server} does not speak TLS") from error
        raise _Refused("tls", f"{self._server}: {_said(error)}") from error

    def _ask_versions(self, stream: socket.socket) -> None:
        if ask_versions(stream).startswith(TLS_ALERT):
            raise EOFError("it speaks TLS")
        if takes_requests(stream):
            return
        # A listener that wants a login answers the question for versions too, and refuses everything after it.
        with closing(self._connect(tls=self._tls)) as another:
            mechanisms = ask_mechanisms(another, "PLAIN")
        if mechanisms is None:
            raise EOFError("it closed the connection")
        if mechanisms.error in (0, _UNSUPPORTED_MECHANISM):
            offered = ", ".join(mechanisms.offered)
            raise _Refused("sasl_mechanism", f"{self._server} wants a login by SASL: {offered}")

    def _log_in(self, stream: socket.socket) -> None:
        name = self._settings["sasl_mechanism"]
        mechanisms = ask_mechanisms(stream, name)
        if mechanisms is None:
            raise EOFError("it closed the connection")
        if mechanisms.error == _NOT_ACCEPTED_HERE:
            raise _Refused("sasl_mechanism", f"{self._server} takes no login by SASL")
        if mechanisms.error == _UNSUPPORTED_MECHANISM or name not in mechanisms.offered:
            offered = ", ".join(mechanisms.offered) or "none"
            raise _Refused("sasl_mechanism", f"{self._server} does not offer {name}; it offers {offered}")
        # Without the protocol among its settings it does not warn of an open line, as the producer does already.
        mechanism = get_sasl_mechanism(name)(
            host=self._address[0],
            **{option: value for option, value in self._settings.items() if option.startswith("sasl_")},
        )
        while not mechanism.is_done():
            step = log_in(stream, mechanism.auth_bytes())
            if step.error:
                detail = step.message or for_code(step.error).__name__
                raise _Refused("authentication", f"{self._server}: {detail}")
            mechanism.receive(step.token)
        if not mechanism.is_authenticated():
            raise _Refused("authentication", f"{self._server}: the login by {name} was not completed")

    def _compare_protocols(self) -> None:
        """Whether the connection ended because one side speaks TLS and the other does not."""
        if self._tls:
            if self._speaks_plain():
                raise _Refused("tls", f"{self._server} does not speak TLS")
        elif self._speaks_tls():
            raise _Refused("tls", f"{self._server} speaks TLS, and kafka.security.protocol does not say so")

    def _speaks_plain(self) -> bool:
        with suppress(OSError, EOFError, struct.error), closing(self._connect(tls=False)) as stream:
            return not ask_versions(stream).startswith(TLS_ALERT)
        return False

    def _speaks_tls(self) -> bool:
        try:
            self._connect(tls=True, verify=False).close()
        except ssl.SSLEOFError:
            return False
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")
        except OSError:
            return False
        return True


def _trusting_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _wait_for_alert(stream: socket.socket) -> None:
    """TLS 1.3 tells a client that its certificate was refused only after the handshake. Raises what comes."""
    stream.settimeout(_ALERT_SECONDS)
    with suppress(TimeoutError):
        stream.recv(1)
    stream.settimeout(_ANSWER_SECONDS)


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        reason = error.reason.lower().replace("_", " ")
        if "ALERT" in error.reason and ("CERTIFICATE" in error.reason or "CA" in error.reason):
            return f"it refuses this client's certificate: {reason}"
        return f"TLS: {reason}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def wait_for_kafka(
    connection: dict[str, Any],
    *,
    stop: threading.Event,
    on_trouble: Callable[[Verdict | None], None],
    on_progress: Callable[[], None],
) -> bool:
    """Blocks until one of the servers welcomes a client, or until `stop`; false in the latter case.

    `on_progress` is called before each attempt, which takes some seconds at most. Raises PublisherError when no server
    welcomes a client and one has said why: a new process may have new secrets.
    """
    backoff = Backoff(first_seconds=0.1, most_seconds=2.0)
    while not stop.is_set():
        verdict = ask_servers(connection, on_progress=on_progress)
        if verdict is None:
            return True
        if verdict.error_class is ErrorClass.BLOCKED:
            raise PublisherError(verdict)
        on_trouble(verdict)
        stop.wait(backoff.next_seconds())
    return False


def ask_servers(connection: dict[str, Any], *, on_progress: Callable[[], None] = lambda: None) -> Verdict | None:
    """None when one of the servers welcomes a client, else what they say; what blocks for certain comes first."""
    refusals: list[Verdict] = []
    for server in connection["bootstrap_servers"]:
        on_progress()
        verdict = shake_hands(connection, server)
        if verdict is None:
            return None
        refusals.append(verdict)
    return next((verdict for verdict in refusals if verdict.error_class is ErrorClass.BLOCKED), refusals[0])
