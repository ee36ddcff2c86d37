"""One broker of the fabric: name, port, TLS and welcome, then a session as the receiver uses it."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tie_forwarder.check.findings import Finding, State, Step, Trying, failed, not_tried, ok, warning


def addresses_of(host: str, *, seconds: float) -> list[str] | str:
    """The addresses of a host in the resolver's order, or in words why there are none in time."""
    found: list[list[str] | str] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.append(list(dict.fromkeys(str(answer[4][0]) for answer in answers)))
        except OSError as error:
            found.append(error.strerror or str(error))
        except UnicodeError:
            found.append("it is no name of a host")

    thread = threading.Thread(target=look_up, name="resolver", daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else f"the name servers have not answered in {seconds:.0f} s"


_CONNECT, _CONNACK, _DISCONNECT = b"\x10", 0x20, b"\xe0\x00"
_CLEAN_SESSION = 0x02
_KEEP_ALIVE_SECONDS = 5
_REFUSALS = {
    1: "it speaks another version of MQTT",
    2: "it refuses the client id",
    3: "it is not available",
    4: "it refuses name or password",
    5: "it refuses this client: not authorised",
}


def ask_welcome(stream: socket.socket, client_id: str) -> str:
    """Connects as `client_id` and leaves; empty when welcome, else what the broker says. Raises OSError, EOFError."""
    name = client_id.encode()
    body = struct.pack(">H4sBBH", 4, b"MQTT", 4, _CLEAN_SESSION, _KEEP_ALIVE_SECONDS)
    body += struct.pack(">H", len(name)) + name
    stream.sendall(_CONNECT + bytes([len(body)]) + body)
    answer = _read(stream, 4)
    if answer[0] != _CONNACK:
        return "what answers there is no MQTT broker"
    if answer[3] == 0:
        stream.sendall(_DISCONNECT)
    return "" if answer[3] == 0 else _REFUSALS.get(answer[3], f"it refuses the connection with code {answer[3]}")


def _read(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError("it closed the connection")
        data += piece
    return data


_EXPIRED, _NOT_YET_VALID = 10, 9
_CLOSED = "it closed the connection within the handshake; it may refuse this client's certificate without a word"


class Refusal(NamedTuple):
    """Why TLS failed."""

    text: str
    remedy: str


def refusal(error: BaseException) -> Refusal:
    """The refusal behind an exception of the handshake or of the first bytes after it."""
    if isinstance(error, TimeoutError):
        return Refusal("it accepts the connection and stays silent", _SILENT)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_its_certificate(error)
    if isinstance(error, ssl.SSLEOFError | EOFError | ConnectionError):
        return Refusal(_CLOSED, _SEE_LOG)
    if isinstance(error, ssl.SSLError) and error.reason:
        return _of_alert(error.reason)
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Refusal(text, _SEE_LOG)


def _of_its_certificate(error: ssl.SSLCertVerificationError) -> Refusal:
    if error.verify_code == _EXPIRED:
        return Refusal("the broker's certificate, or its authority's, has expired", "renew it on the broker")
    if error.verify_code == _NOT_YET_VALID:
        return Refusal("the broker's certificate is not valid yet", "set the clocks of this machine and of the broker")
    text = f"the broker's certificate is not issued by an authority of BrokerCertChain: {error.verify_message}"
    return Refusal(text, "put the authority that issued the broker's certificate into BrokerCertChain")


def _of_alert(reason: str) -> Refusal:
    words = reason.lower().replace("_", " ")
    for word, text, remedy in _REASONS:
        if word in words:
            return Refusal(f"{text} ({words})", remedy)
    return Refusal(f"TLS: {words}", _SEE_LOG)


_SILENT = "see whether the broker hangs, or whether something else listens there"
_SEE_LOG = "see the broker's log"
_TRUST = "let the fabric trust the authority that issued this client's certificate, or have it issued by one it trusts"
_REASONS = (
    (
        "alert certificate expired",
        "the broker refuses this client's certificate: it has expired",
        "renew the certificate",
    ),
    ("alert unknown ca", "the broker does not know the authority of this client's certificate", _TRUST),
    (
        "alert certificate revoked",
        "the broker refuses this client's certificate: it is revoked",
        "have a new one issued",
    ),
    ("certificate", "the broker refuses this client's certificate", _TRUST),
    ("wrong version number", "what listens there does not speak TLS", "correct host and port in dxlclient.config"),
    (
        "handshake failure",
        "the broker and dxlclient have no cipher in common",
        "let the broker offer AES128-SHA256 or TLS 1.3",
    ),
    ("too small", "a key is too small for this machine's TLS library", "have it made again with 2048 bits or more"),
    (
        "md too weak",
        "a certificate's signature is too weak for this machine's TLS library",
        "have it issued with SHA-256",
    ),
)
"""By what OpenSSL calls it; the first that fits counts."""


_CIPHERS = "AES128-SHA256"
"""What dxlclient allows for TLS 1.2."""

_NAME_SECONDS = 3.0
_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 3.0
_ALERT_SECONDS = 1.0
_SUBSCRIBE_SECONDS = 3.0
_CANARY_SECONDS = 2.0


def steps(settings: dict[str, Any]) -> Iterator[Step]:
    """`host`, `port` and `address` of the broker; `config_file`, and the paths of its certificates; `events`."""
    subject = f"{settings['host']}:{settings['port']}"
    if settings["proxy"]:
        why = f"a proxy stands between: {settings['proxy']}"
        for aspect in ("name", "tcp", "tls", "connack"):
            yield not_tried(f"fabric.{aspect}", subject, why)
        yield from _session(subject, settings, through="")
        return
    yield Trying("fabric.name", subject)
    hosts = yield from _names(subject, settings)
    if not hosts:
        return
    yield Trying("fabric.tcp", subject)
    host = yield from _reached(subject, hosts, settings["port"])
    if not host:
        return
    yield Trying("fabric.tls", subject)
    welcome = yield from _handshake(subject, host, settings)
    if welcome:
        yield from _session(subject, settings, through=host)


def _names(subject: str, settings: dict[str, Any]) -> Generator[Step, None, list[str]]:
    """Yields the line; returns the hosts to connect to, as dxlclient tries them."""
    host = settings["host"]
    address = "" if settings["address"] == host else settings["address"]
    found = addresses_of(host, seconds=_NAME_SECONDS)
    if not isinstance(found, str):
        shown = "it is an address" if found == [host] else ", ".join(found)
        yield ok("fabric.name", subject, shown)
        return [host, address] if address and address not in found else [host]
    text = f"{host} is not found: {found}"
    if address:
        yield warning("fabric.name", subject, f"{text}; its address {address} is used", _MEND_NAME)
        return [address]
    yield failed("fabric.name", subject, text, _MEND_NAME)
    return []


def _reached(subject: str, hosts: list[str], port: int) -> Generator[Step, None, str]:
    """Yields the line; returns the host that took a connection, empty when none did."""
    complaints = []
    for host in hosts:
        try:
            socket.create_connection((host, port), timeout=_CONNECT_SECONDS / len(hosts)).close()
        except OSError as error:
            said = "it does not answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
            complaints.append(f"{host}: {said}" if len(hosts) > 1 else said)
        else:
            yield ok("fabric.tcp", subject, "takes a connection" + (f" at {host}" if len(hosts) > 1 else ""))
            return host
    yield failed("fabric.tcp", subject, "; ".join(complaints), _MEND_TCP)
    return ""


def _handshake(subject: str, host: str, settings: dict[str, Any]) -> Generator[Step, None, bool]:
    """Yields the lines of TLS and of the welcome; returns whether the broker welcomes this client."""
    try:
        context = _context(settings)
    except (OSError, ValueError) as error:
        yield failed("fabric.tls", subject, f"certificate and key cannot be used: {refusal(error).text}", _MEND_FILES)
        return False
    try:
        with closing(_connected(context, host, settings["port"])) as stream:
            described = f"{stream.version()}, {(stream.cipher() or ['?'])[0]}"
            # With TLS 1.3 a broker tells what it thinks of our certificate only after the handshake.
            outcome = _welcome(subject, stream, settings)
    except (OSError, EOFError) as error:
        said = refusal(_alert_behind(error, context, host, settings["port"]))
        yield failed("fabric.tls", subject, said.text, said.remedy)
        return False
    yield ok("fabric.tls", subject, described)
    yield outcome
    return outcome.state is not State.FAILED


def _connected(context: ssl.SSLContext, host: str, port: int) -> ssl.SSLSocket:
    plain = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
    plain.settimeout(_ANSWER_SECONDS)
    try:
        return context.wrap_socket(plain)
    except BaseException:
        plain.close()
        raise


def _alert_behind(error: Exception, context: ssl.SSLContext, host: str, port: int) -> Exception:
    """The alert that was lost because our packet crossed it: this time we wait for it. Else the error itself."""
    if not isinstance(error, ssl.SSLEOFError | EOFError | ConnectionError):
        return error
    try:
        with closing(_connected(context, host, port)) as stream:
            stream.settimeout(_ALERT_SECONDS)
            stream.recv(1)
    except ssl.SSLError as alert:
        return alert
    except OSError:
        return error
    return error


def _welcome(subject: str, stream: ssl.SSLSocket, settings: dict[str, Any]) -> Finding:
    code = "fabric.connack"
    if settings["websockets"]:
        return not_tried(code, subject, "it speaks within WebSockets; the session tells")
    try:
        said = ask_welcome(stream, f"{{{uuid.uuid4()}}}")
    except (TimeoutError, EOFError, ConnectionError) as error:
        if not isinstance(error, TimeoutError) and stream.version() == "TLSv1.3":
            raise  # it may have refused the certificate, whose alert is lost with the connection
        text = "no answer to CONNECT" if isinstance(error, TimeoutError) else "it closed the connection over CONNECT"
        return failed(code, subject, text, _MEND_WELCOME)
    return failed(code, subject, said, _MEND_WELCOME) if said else ok(code, subject, "welcome")


def _context(settings: dict[str, Any]) -> ssl.SSLContext:
    """As dxlclient makes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_cert_chain(settings["certificate"], settings["key"], "")
    context.load_verify_locations(settings["authorities"])
    context.set_ciphers(_CIPHERS)
    return context


def _session(subject: str, settings: dict[str, Any], *, through: str) -> Iterator[Step]:
    """Yields the lines of the subscriptions and of the canary."""
    from tie_forwarder.receiver.short_lived import BrokerTrial

    yield Trying("fabric.subscription", subject)
    trial = BrokerTrial(
        config_file=Path(settings["config_file"]),
        host=settings["host"],
        port=settings["port"],
        kinds=settings["events"],
        through=through,
    )
    trouble = trial.subscribe(_SUBSCRIBE_SECONDS)
    if trouble:
        yield failed("fabric.subscription", subject, trouble, _MEND_SUBSCRIPTION)
        return
    yield ok("fabric.subscription", subject, f"confirmed: {', '.join(trial.topics)}")
    yield Trying("fabric.canary", subject)
    seconds = trial.fly(_CANARY_SECONDS)
    if seconds is None:
        yield failed("fabric.canary", subject, trial.lost or "an event to itself did not come back", _MEND_CANARY)
    else:
        yield ok("fabric.canary", subject, f"came back in {seconds * 1000:.1f} ms")


_MEND_NAME = "correct the name in dxlclient.config, or see to the name servers of this machine"
_MEND_TCP = "see whether the broker runs, and whether a firewall stands between"
_MEND_FILES = "see the lines on the certificates"
_MEND_WELCOME = "see the broker's log; the client's certificate must be known to the fabric"
_MEND_SUBSCRIPTION = "see the broker's log, and the rights of this client's certificate on the fabric"
_MEND_CANARY = (
    "see the broker's log: it must deliver this client's own events on /tie-forwarder/canary/, or be restarted"
)
