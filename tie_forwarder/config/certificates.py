"""Reads certificates and private keys from PEM files, and says what would stop a TLS client that uses them.

Never shows a key or a password. Asks no network: whether a peer trusts a certificate is seen only when connecting.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from tie_forwarder.config.plain_file import read_file
from tie_forwarder.errors import ForwarderError

_WEAK_HASHES = frozenset({"md5", "sha1"})
_RENEW = "renew the certificate"
_ABSENT = "does not exist"
_MOST_BYTES = 4 * 1024 * 1024


class Finding(NamedTuple):
    """What is wrong with a file, as the end of a sentence, and the remedy."""

    message: str
    remedy: str


class Certificate(NamedTuple):
    """What a certificate says of itself. Times are aware."""

    name: str
    issuer: str
    begins: datetime
    ends: datetime
    signature: str
    """The hash that was signed, in lower case; empty where it is none that is known."""
    rsa_bits: int
    """The length of an RSA key, 0 for another kind of key."""
    x509: x509.Certificate

    @property
    def signed_by_itself(self) -> bool:
        return self.x509.subject == self.x509.issuer

    def bears_the_name_of(self, other: Certificate) -> bool:
        """Whether `other` is named as its issuer."""
        return self.x509.issuer == other.x509.subject

    def is_signed_by(self, other: Certificate) -> bool:
        """Whether the key of `other` has signed it."""
        try:
            self.x509.verify_directly_issued_by(other.x509)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def certificates_in(path: Path) -> list[Certificate] | Finding:
    """Every certificate of a PEM file in its order, or what is wrong with the file."""
    found = _certificates(path)
    return found if isinstance(found, Finding) else list(map(_described, found))


def certificate_expiry(path: Path) -> datetime:
    """When the first certificate in the file ends (aware, UTC). Raises `ForwarderError` when there is none to read."""
    found = _certificates(path)
    if isinstance(found, Finding):
        raise ForwarderError(f"certificate {str(path)!r} {found.message}", remedy=found.remedy)
    return found[0].not_valid_after_utc


def reading_findings(path: Path) -> list[Finding]:
    """Whether the file is there and may be read by this user."""
    content = _content(path)
    return [content] if isinstance(content, Finding) else []


def secret_findings(path: Path) -> list[Finding]:
    """Whether the file of a password is there, may be read, and holds one."""
    content = _content(path)
    if isinstance(content, Finding) and content.message == _ABSENT:
        remedy = "put the file there, or pass it to the service as a credential of that name"
        return [Finding(_ABSENT, remedy)]
    if isinstance(content, Finding):
        return [content]
    return [] if content.strip(b"\r\n") else [Finding("is empty", "write the secret into it")]


def authority_findings(path: Path, *, now: datetime | None = None) -> list[Finding]:
    """What is wrong with a bundle of authorities' certificates. One that is still valid is enough."""
    found = _certificates(path)
    if isinstance(found, Finding):
        return [found]
    moment = now or datetime.now(UTC)
    if all(certificate.not_valid_after_utc < moment for certificate in found):
        return [Finding("holds only expired certificates", "fetch the authority's present certificate")]
    return []


def certificate_findings(path: Path, *, now: datetime | None = None) -> list[Finding]:
    """What is wrong with a client's own certificate, which is the first one in its file."""
    found = _certificates(path)
    if isinstance(found, Finding):
        return [found]
    moment, own = now or datetime.now(UTC), found[0]
    findings = []
    if own.not_valid_after_utc < moment:
        findings.append(Finding(f"expired on {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", _RENEW))
    if own.not_valid_before_utc > moment:
        begin = f"{own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        findings.append(Finding(f"is valid only from {begin}", "set the clock of this machine"))
    if _hash_name(own) in _WEAK_HASHES:
        message = f"is signed with {_hash_name(own).upper()}, which TLS libraries refuse"
        findings.append(Finding(message, "have it issued again with SHA-256"))
    return findings


def key_findings(path: Path, *, certificate: Path, password: str | None = None) -> list[Finding]:
    """What is wrong with a private key; that it fits the certificate is judged only where that one can be read."""
    key = _private_key(path, password)
    if isinstance(key, Finding):
        return [key]
    found = _certificates(certificate)
    if not isinstance(found, Finding) and _public_bytes(key.public_key()) != _public_bytes(found[0].public_key()):
        return [
            Finding(f"does not belong to the certificate {str(certificate)!r}", "give the two that were made together")
        ]
    return []


def _described(certificate: x509.Certificate) -> Certificate:
    key = certificate.public_key()
    return Certificate(
        name=_common_name(certificate.subject),
        issuer=_common_name(certificate.issuer),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        signature=_hash_name(certificate),
        rsa_bits=key.key_size if isinstance(key, rsa.RSAPublicKey) else 0,
        x509=certificate,
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _content(path: Path) -> bytes | Finding:
    try:
        return read_file(path, most_bytes=_MOST_BYTES)
    except FileNotFoundError:
        return Finding(_ABSENT, "correct the path, or put the file there")
    except OSError as error:
        remedy = "make it a file that the user who runs the forwarder may read"
        return Finding(f"cannot be read: {error.strerror or type(error).__name__}", remedy)


def _certificates(path: Path) -> list[x509.Certificate] | Finding:
    content = _content(path)
    if isinstance(content, Finding):
        return content
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        return Finding("holds no readable PEM certificate", "give a file that begins with BEGIN CERTIFICATE")


def _private_key(path: Path, password: str | None) -> PrivateKeyTypes | Finding:
    content = _content(path)
    if isinstance(content, Finding):
        return content
    encrypted = b"ENCRYPTED" in content
    try:
        return load_pem_private_key(content, password.encode() if password is not None and encrypted else None)
    except TypeError:
        remedy = "decrypt it with `openssl pkey -in KEY -out NEW_KEY` and protect the file by its permissions"
        return Finding("is encrypted, and there is no password for it", remedy)
    except (ValueError, UnsupportedAlgorithm):
        if encrypted:
            return Finding("cannot be decrypted with the password given", "correct the password")
        return Finding("holds no readable PEM private key", "give an unencrypted key in PEM form")


def _hash_name(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return "" if algorithm is None else algorithm.name


def _public_bytes(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]  # every kind of key has it, their union in cryptography's types is open
    return encoded
