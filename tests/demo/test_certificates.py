"""The certificates of the demo's authority, and the dxlclient.config that names them."""

from __future__ import annotations

import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from dxlclient.client_config import DxlClientConfig

from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.demo.certificates import Authority, Identity
from tie_forwarder.demo.servers import write_dxlclient_config

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def own_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("demo-authority"))


@pytest.fixture(scope="module")
def identity(own_authority: Authority) -> Identity:
    return own_authority.issue("client")


def test_an_identity_is_signed_by_its_authority(own_authority: Authority, identity: Identity) -> None:
    ca = x509.load_pem_x509_certificate(own_authority.ca_file.read_bytes())
    certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    certificate.verify_directly_issued_by(ca)


def test_an_identity_is_valid_from_yesterday_for_thirty_days(identity: Identity) -> None:
    certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    assert abs(certificate.not_valid_before_utc - (NOW - timedelta(days=1))) < timedelta(hours=1)
    assert abs(certificate.not_valid_after_utc - (NOW + timedelta(days=30))) < timedelta(hours=1)


def test_an_expired_identity_can_be_issued(own_authority: Authority) -> None:
    expired = own_authority.issue("expired", valid_from=NOW - timedelta(days=9), valid_until=NOW - timedelta(days=2))
    certificate = x509.load_pem_x509_certificate(expired.certificate.read_bytes())
    assert certificate.not_valid_after_utc < NOW


def test_only_the_owner_reads_the_keys(identity: Identity) -> None:
    assert stat.S_IMODE(identity.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(identity.keystore.stat().st_mode) == 0o600


def test_the_keystore_holds_the_key_and_then_the_certificate(identity: Identity) -> None:
    assert identity.keystore.read_bytes() == identity.key.read_bytes() + identity.certificate.read_bytes()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_certificate_passes_strict_verification_with_the_cipher_of_dxlclient(
    own_authority: Authority, identity: Identity, name: str
) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(own_authority.ca_file))
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(own_authority.ca_file))
    for context in (server, client):
        context.load_cert_chain(identity.certificate, identity.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-SHA256")
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert _handshake(server, client, name) == "AES128-SHA256"


def test_dxlclient_and_the_configuration_check_accept_the_written_file(
    own_authority: Authority, identity: Identity
) -> None:
    path = write_dxlclient_config(
        own_authority.directory / "dxlclient.config",
        identity=identity,
        ca_file=own_authority.ca_file,
        brokers=[("127.0.0.1", 8883), ("localhost", 8884)],
        client_id="demo",
    )
    config = DxlClientConfig.create_dxl_config_from_file(str(path))
    assert [(broker.host_name, broker.port) for broker in config.brokers] == [("127.0.0.1", 8883), ("localhost", 8884)]
    assert config._client_id == "demo"
    assert Path(config.private_key) == identity.key
    assert FabricFile(file=path, place="").faults() == []


def test_files_elsewhere_are_named_by_their_absolute_path(
    own_authority: Authority, identity: Identity, tmp_path: Path
) -> None:
    path = write_dxlclient_config(
        tmp_path / "dxlclient.config", identity=identity, ca_file=own_authority.ca_file, brokers=[("localhost", 8883)]
    )
    assert f"CertFile = {identity.certificate}" in path.read_text()
    assert os.fspath(tmp_path) not in path.read_text()


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Both sides in memory; the cipher that they agreed on."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for side in (sides * 3)[:-1]:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    cipher = sides[0].cipher()
    assert cipher is not None
    return cipher[0]
