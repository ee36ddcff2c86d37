"""A certificate authority for loopback servers and their clients.

Owns: keys and certificates in one directory. Must not: be trusted by anything that outlives that directory, since the
private keys lie there without a password.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

_KEY_BITS = 2048
_BACKDATED = timedelta(days=1)
_LIFETIME = timedelta(days=30)


@dataclass(frozen=True)
class Identity:
    """The files of one client or server; `keystore` holds the key and, after it, the certificate."""

    certificate: Path
    key: Path
    keystore: Path


class Authority:
    """Signs certificates for `localhost` and 127.0.0.1, each good for servers and for clients.

    The constructor creates the directory, the authority's key and its self-signed certificate (some 100 ms of CPU).
    """

    def __init__(self, directory: Path, *, common_name: str = "tie-forwarder CA") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.ca_file = directory / "ca.crt"
        self._key = _new_key()
        now = datetime.now(UTC)
        name = _name(common_name)
        self._certificate = (
            _builder(subject=name, issuer=name, key=self._key.public_key())
            .not_valid_before(now - 2 * _BACKDATED)
            .not_valid_after(now + 10 * _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, valid_from: datetime | None = None, valid_until: datetime | None = None) -> Identity:
        """Write `name`.crt, `name`.key and `name`.pem, replacing earlier ones, and return their paths.

        Valid from a day ago for 30 days, unless told otherwise (aware datetimes; the past is allowed). Key files are
        readable by their owner alone and have no password.
        """
        now = datetime.now(UTC)
        key = _new_key()
        certificate = (
            _builder(subject=_name(name), issuer=self._certificate.subject, key=key.public_key())
            .not_valid_before(valid_from or now - _BACKDATED)
            .not_valid_after(valid_until or now + _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(_loopback_names(), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        identity = Identity(
            certificate=self.directory / f"{name}.crt",
            key=self.directory / f"{name}.key",
            keystore=self.directory / f"{name}.pem",
        )
        identity.certificate.write_bytes(certificate_pem)
        _write_secret(identity.key, key_pem)
        _write_secret(identity.keystore, key_pem + certificate_pem)
        return identity


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(*, subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
    )


def _loopback_names() -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    # keyEncipherment: dxlclient insists on AES128-SHA256, a cipher that exchanges keys by RSA.
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_secret(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
