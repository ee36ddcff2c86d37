"""Shaking hands with a broker as a client does, TLS and login included, to know for certain why a connection fails.

kafka-python turns every refusal into a time-out, and loses the broker's reason when the end of the connection arrives
with it. Here a plain blocking socket makes the first requests of the protocol (`wire`) and looks at each answer. Must
not: send anything else, or keep a connection.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import closing, suppress
from typing import Any

from kafka.errors import for_code
from kafka.net.sasl import get_sasl_mechanism

from tie_forwarder.children.log import log_exception
from tie_forwarder.publisher import wire
from tie_forwarder.publisher.errors import REMEDIES, ErrorClass, Verdict

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
        if wire.ask_versions(stream).startswith(wire.TLS_ALERT):
            raise EOFError("it speaks TLS")
        if wire.takes_requests(stream):
            return
        # A listener that wants a login answers the question for versions too, and refuses everything after it.
        with closing(self._connect(tls=self._tls)) as another:
            mechanisms = wire.ask_mechanisms(another, "PLAIN")
        if mechanisms is None:
            raise EOFError("it closed the connection")
        if mechanisms.error in (0, _UNSUPPORTED_MECHANISM):
            offered = ", ".join(mechanisms.offered)
            raise _Refused("sasl_mechanism", f"{self._server} wants a login by SASL: {offered}")

    def _log_in(self, stream: socket.socket) -> None:
        name = self._settings["sasl_mechanism"]
        mechanisms = wire.ask_mechanisms(stream, name)
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
            step = wire.log_in(stream, mechanism.auth_bytes())
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
            return not wire.ask_versions(stream).startswith(wire.TLS_ALERT)
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
