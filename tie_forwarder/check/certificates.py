"""The certificates and keys that are configured, each looked at as the TLS library will: nothing is connected to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tie_forwarder.check.findings import Finding, Step, Trying, failed, ok, warning
from tie_forwarder.config import certificates
from tie_forwarder.config.certificates import Certificate

_SOON = timedelta(days=30)
_WEAK_HASHES = ("md5", "sha1")
_SHORTEST_RSA_BITS = 2048
"""What OpenSSL's second level of security takes, which Debian and others have as their default."""


def steps(settings: dict[str, Any]) -> Iterator[Step]:
    """Each file with `role`, `kind` and `path`; a client's also with `key`, `password` and its `authorities`."""
    for file in settings["files"]:
        role, path = file["role"], Path(file["path"])
        yield Trying("certificate.file", role)
        found = certificates.certificates_in(path)
        if isinstance(found, certificates.Finding):
            yield failed("certificate.file", role, f"{path} {found.message}", found.remedy)
        elif file["kind"] == "client":
            yield ok("certificate.file", role, f"{path}: {found[0].name}")
            yield from _client(file, found)
        else:
            yield ok("certificate.file", role, f"{path}: {', '.join(item.name for item in found)}")
            yield from _authorities(role, found)


def _client(file: dict[str, Any], found: list[Certificate]) -> Iterator[Step]:
    role, own = file["role"], found[0]
    yield _expiry(role, own)
    yield _signature(file, own)
    yield Trying("certificate.key", role)
    key = Path(file["key"])
    faults = certificates.key_findings(key, certificate=Path(file["path"]), password=file["password"])
    if faults:
        yield failed("certificate.key", role, f"{key} {faults[0].message}", faults[0].remedy)
    else:
        yield ok("certificate.key", role, f"{key} belongs to it")
    yield Trying("certificate.chain", role)
    yield _issuer(role, own, [*found[1:], *_known(file["authorities"])])


def _authorities(role: str, found: list[Certificate]) -> Iterator[Finding]:
    now = datetime.now(UTC)
    ended = [item for item in found if item.ends < now]
    last = max(found, key=lambda item: item.ends)
    if ended and len(ended) < len(found):
        names = ", ".join(f"{item.name} ({item.ends:%Y-%m-%d})" for item in ended)
        yield warning("certificate.expiry", role, f"expired: {names}; the others are valid", _FETCH)
    else:
        yield _expiry(role, last)._replace(remedy=_FETCH if last.ends < now + _SOON else "")
    if any(item.signed_by_itself for item in found):
        yield ok("certificate.chain", role, "it has its root")
    else:
        issuers = ", ".join(sorted({item.issuer for item in found}))
        yield failed("certificate.chain", role, f"no root is in it, which TLS libraries ask for: {issuers}", _ADD_ROOT)


def _expiry(role: str, certificate: Certificate) -> Finding:
    now = datetime.now(UTC)
    code, days = "certificate.expiry", (certificate.ends - now).days
    if certificate.ends < now:
        return failed(code, role, f"expired on {certificate.ends:%Y-%m-%d %H:%M} UTC", _RENEW)
    if certificate.begins > now:
        begin = f"valid only from {certificate.begins:%Y-%m-%d %H:%M} UTC on"
        return failed(code, role, begin, "set the clock of this machine, or wait")
    text = f"valid until {certificate.ends:%Y-%m-%d}, {days} days"
    return warning(code, role, text, _RENEW) if certificate.ends < now + _SOON else ok(code, role, text)


def _signature(file: dict[str, Any], certificate: Certificate) -> Finding:
    role = file["role"]
    code, bits = "certificate.signature", certificate.rsa_bits
    if certificate.signature in _WEAK_HASHES:
        name = certificate.signature.upper()
        return failed(code, role, f"it is signed with {name}, which TLS libraries refuse", _ISSUE_AGAIN)
    if 0 < bits < _SHORTEST_RSA_BITS:
        refused = _key_is_refused(file)
        whose = "this machine's" if refused else "many a"
        text = f"its RSA key has {bits} bits, which {whose} TLS library refuses"
        return (failed if refused else warning)(code, role, text, _ISSUE_AGAIN)
    key = f"RSA with {bits} bits" if bits else "no RSA key"
    return ok(code, role, f"{certificate.signature or 'no separate hash'}, {key}")


def _key_is_refused(file: dict[str, Any]) -> bool:
    """Whether OpenSSL, as this machine has configured it, takes such a certificate."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(file["path"], file["key"], file["password"] or "")
    except ssl.SSLError as error:
        return "TOO_SMALL" in (error.reason or "")
    return False


def _issuer(role: str, own: Certificate, known: list[Certificate]) -> Finding:
    code = "certificate.chain"
    named = [item for item in known if own.bears_the_name_of(item)]
    if own.signed_by_itself:
        return ok(code, role, "it is signed by itself")
    if not named:
        return ok(code, role, f"issued by {own.issuer}, which is not among the authorities here")
    for item in named:
        if own.is_signed_by(item):
            return ok(code, role, f"issued by {item.name}, which is among the authorities here")
    text = f"it names {own.issuer} as its issuer, and is not signed by the authority of that name here"
    # Brokers may know an authority that is not in this file: whether they take it, the handshake tells.
    return warning(code, role, text, "have it issued by the present authority, or fetch the one that issued it")


def _known(path: str | None) -> list[Certificate]:
    found = [] if path is None else certificates.certificates_in(Path(path))
    return [] if isinstance(found, certificates.Finding) else found


_RENEW = "renew the certificate"
_FETCH = "fetch the authority's present certificate"
_ADD_ROOT = "add the certificate of the authority that has issued it, down to the one that is signed by itself"
_ISSUE_AGAIN = "have it issued again with SHA-256 and an RSA key of 2048 bits or more"
