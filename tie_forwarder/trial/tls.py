"""What went wrong in a handshake, in words, and what is to be done about it."""

from __future__ import annotations

import ssl
from typing import NamedTuple

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
