"""One broker of the fabric: its name, its port, TLS, its welcome, then a session as the receiver has it.

TLS and the welcome are asked by a plain socket with dxlclient's settings, because dxlclient does not tell what a broker
has said. It does not compare host names, so neither does this.
"""

from __future__ import annotations

import socket
import ssl
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tie_forwarder.trial.finding import Finding, State, Step, Trying, failed, not_tried, ok, warning
from tie_forwarder.trial.mqtt import ask_welcome
from tie_forwarder.trial.names import addresses_of
from tie_forwarder.trial.tls import refusal

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
    from tie_forwarder.receiver.broker_trial import BrokerTrial

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
