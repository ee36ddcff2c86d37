"""`check` and `verify`: what can only be seen on the machine, each fault with its remedy, secrets never."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tie_forwarder.cli import invoke
from tie_forwarder.config import Fault, load
from tie_forwarder.config.verification import _directory_findings, verify

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CONFIG = "spool: {directory: spool}\n"
ENCRYPTED = BestAvailableEncryption(b"hunter2")


@dataclass
class Site:
    """A directory with a configuration, certificates and keys, all of it in order until a test spoils something."""

    directory: Path

    def build(self) -> Site:
        self.write("config.yaml", CONFIG)
        self.certify("client")
        self.certify("ca")
        self.connect("{b} = {b};8883;broker.example;192.0.2.1")
        return self

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.directory / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def connect(
        self, brokers: str, certs: str = "BrokerCertChain = ca.crt\nCertFile = client.crt\nPrivateKey = client.key"
    ) -> None:
        self.write("dxlclient.config", f"[Certs]\n{certs}\n[Brokers]\n{brokers}\n")

    def certify(
        self,
        name: str,
        *,
        begin: datetime = NOW - timedelta(days=1),
        end: datetime = NOW + timedelta(days=30),
        encryption: KeySerializationEncryption | None = None,
        key_name: str | None = None,
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), begin, end)
        ).sign(key, hashes.SHA256())
        self.write(f"{name}.crt", certificate.public_bytes(Encoding.PEM))
        form = PrivateFormat.PKCS8
        self.write(f"{key_name or name}.key", key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()))

    def faults(self, **environ: str) -> list[Fault]:
        return verify(load(self.directory / "config.yaml", environ=environ), now=NOW)

    def fault(self, **environ: str) -> Fault:
        (found,) = self.faults(**environ)
        assert found.remedy
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path).build()


def test_a_site_in_order_has_no_fault_and_nothing_is_made(site: Site) -> None:
    before = sorted(site.directory.iterdir())
    assert site.faults() == []
    assert sorted(site.directory.iterdir()) == before


def test_a_missing_dxlclient_config_says_how_it_is_made(site: Site) -> None:
    (site.directory / "dxlclient.config").unlink()
    found = site.fault()
    assert (found.field, found.value) == ("dxl.config_file", f"{site.directory}/dxlclient.config")
    assert found.message == "does not exist"
    assert f"python -m dxlclient provisionconfig {site.directory} SERVER" in found.remedy


def spoil(name: str, content: str | bytes) -> Callable[[Site], object]:
    return lambda site: site.write(name, content)


@pytest.mark.parametrize(
    ("spoiled", "field", "message"),
    [
        (lambda site: (site.directory / "client.crt").unlink(), "[Certs] CertFile", "does not exist"),
        (lambda site: (site.directory / "client.key").unlink(), "[Certs] PrivateKey", "does not exist"),
        (spoil("client.crt", "nothing"), "[Certs] CertFile", "no readable PEM certificate"),
        (spoil("client.key", "nothing"), "[Certs] PrivateKey", "no readable PEM private key"),
        (spoil("ca.crt", b"\xff"), "[Certs] BrokerCertChain", "no readable PEM certificate"),
        (lambda site: site.certify("client", end=NOW - timedelta(hours=1)), "[Certs] CertFile", "expired on 2029-12"),
        (lambda site: site.certify("client", begin=NOW + timedelta(hours=1)), "[Certs] CertFile", "valid only from"),
        (lambda site: site.certify("ca", end=NOW - timedelta(hours=1)), "[Certs] BrokerCertChain", "only expired"),
        (lambda site: site.certify("client", encryption=ENCRYPTED), "[Certs] PrivateKey", "is encrypted"),
        (lambda site: site.certify("other", key_name="client"), "[Certs] PrivateKey", "does not belong"),
        (lambda site: site.connect(""), "[Brokers]", "names no broker"),
        (lambda site: site.connect("b = b;port;host"), "[Brokers] b", "is not a broker"),
        (lambda site: site.connect("b = b;8883;"), "[Brokers] b", "is not a broker"),
        (lambda site: site.connect("b = b;8883;a, c"), "[Brokers] b", "is not a broker"),
        (lambda site: site.connect("b = b;1;a\n[General]\nUseWebSockets = yes"), "[BrokersWebSockets]", "no broker"),
    ],
)  # fmt: skip
def test_each_fault_of_dxlclient_config_names_its_setting(
    site: Site, spoiled: Callable[[Site], object], field: str, message: str
) -> None:
    spoiled(site)
    found = site.fault()
    assert found.place == f"{site.directory}/dxlclient.config"
    assert found.field == field
    assert message in found.message


@pytest.mark.parametrize("brokers", ["b = 8883;host", "b = b;8883;host\nc = c;8883;host;192.0.2.1", "[[sub]]"])
def test_brokers_have_the_forms_that_dxlclient_reads(site: Site, brokers: str) -> None:
    site.connect(brokers)
    assert bool(site.faults()) == (brokers == "[[sub]]")


def test_brokers_for_websockets_are_enough_where_there_are_no_others(site: Site) -> None:
    site.connect("[BrokersWebSockets]\nb = b;443;host")
    assert site.faults() == []


def test_settings_that_are_missing_are_all_named(site: Site) -> None:
    site.connect("b = b;8883;host", certs="")
    assert [fault.field for fault in site.faults()] == [
        "[Certs] BrokerCertChain",
        "[Certs] CertFile",
        "[Certs] PrivateKey",
    ]


def test_a_dxlclient_config_in_another_form_is_a_fault_with_its_line(site: Site) -> None:
    site.write("dxlclient.config", "[Certs]\n[Certs\n")
    assert site.fault().place == f"{site.directory}/dxlclient.config, line 2"
    site.connect("b = %(nothing)s")
    assert "not in the form" in site.fault().message


# Kafka


def with_kafka(site: Site, security: str) -> None:
    site.write("config.yaml", CONFIG + f"kafka: {{security: {{{security}}}}}\n")


def test_tls_files_of_kafka_in_order_have_no_fault(site: Site) -> None:
    with_kafka(site, "protocol: ssl, ca_file: ca.crt, certificate_file: client.crt, key_file: client.key")
    assert site.faults() == []


def test_a_certificate_and_its_key_may_share_a_file(site: Site) -> None:
    both = (site.directory / "client.crt").read_bytes() + (site.directory / "client.key").read_bytes()
    site.write("both.pem", both)
    with_kafka(site, "protocol: ssl, certificate_file: both.pem")
    assert site.faults() == []
    with_kafka(site, "protocol: ssl, certificate_file: client.crt")
    assert "no readable PEM private key" in site.fault().message


@pytest.mark.parametrize(
    ("security", "field", "message"),
    [
        ("ca_file: none.crt", "ca_file", "does not exist"),
        ("ca_file: client.key", "ca_file", "no readable PEM certificate"),
        ("certificate_file: none.crt, key_file: client.key", "certificate_file", "does not exist"),
        ("certificate_file: client.crt, key_file: none.key", "key_file", "does not exist"),
        ("certificate_file: client.crt, key_file: ca.key", "key_file", "does not belong"),
        ("certificate_file: client.crt, key_file: client.key, key_password_file: none", "key_password_file", "exist"),
    ],
)  # fmt: skip
def test_each_fault_of_kafkas_files_names_its_option(site: Site, security: str, field: str, message: str) -> None:
    with_kafka(site, f"protocol: ssl, {security}")
    found = site.fault()
    assert found.place == f"{site.directory}/config.yaml, line 2"
    assert found.field == f"kafka.security.{field}"
    assert message in found.message


def test_the_password_of_a_key_is_tried(site: Site) -> None:
    site.certify("k", encryption=ENCRYPTED)
    files = "protocol: ssl, certificate_file: k.crt, key_file: k.key"
    with_kafka(site, f"{files}, key_password: hunter2")
    assert site.faults() == []
    with_kafka(site, f"{files}, key_password: hunter3")
    assert "cannot be decrypted" in site.fault().message
    assert "hunter" not in str(site.fault())
    with_kafka(site, files)
    assert "no password" in site.fault().message


def test_a_password_for_a_key_that_is_not_encrypted_does_no_harm(site: Site) -> None:
    with_kafka(site, "protocol: ssl, certificate_file: client.crt, key_file: client.key, key_password: x")
    assert site.faults() == []


def test_a_missing_password_file_is_named(site: Site) -> None:
    with_kafka(site, "protocol: sasl_ssl, sasl: {mechanism: PLAIN, username: u, password_file: none}")
    assert site.fault().field == "kafka.security.sasl.password_file"


# The spool


def test_a_spool_directory_that_is_a_file_is_a_fault(site: Site) -> None:
    site.write("spool", "")
    assert site.fault().field == "spool.directory"
    found = site.fault(TIE_FORWARDER_SPOOL__DIRECTORY="spool/deeper")
    assert found.place == "environment variable TIE_FORWARDER_SPOOL__DIRECTORY"


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setuid(65_534)


def _messages(directory: Path) -> list[str]:
    return [finding.message for finding in _directory_findings(directory)]


def test_a_spool_directory_that_cannot_be_made_is_a_fault() -> None:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_become_nobody) as nobody:
        assert nobody.submit(_messages, Path("/usr/spool")).result() == ["cannot be made in /usr"]
        assert nobody.submit(_messages, Path("/usr")).result() == ["cannot be written"]


# The verb


def test_check_shows_the_effective_values_and_ends_with_0(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.certify("client", begin=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2099, 1, 1, tzinfo=UTC))
    site.certify("ca", begin=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2099, 1, 1, tzinfo=UTC))
    config = str(site.directory / "config.yaml")
    assert invoke(["check", "--config", config, "--set", "kafka.key=sha256"]) == 0
    output = capsys.readouterr()
    assert "ok     kafka.key = sha256  (command line)\n" in output.out
    assert "ok     log.level = info  (default)\n" in output.out
    assert f"DXL client: {site.directory}/client.crt is valid until 2099-01-01\n" in output.out
    assert "no fault found" in output.out
    assert output.err == ""


def test_check_names_every_fault_with_its_remedy_and_ends_with_78(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    (site.directory / "dxlclient.config").unlink()
    site.write("spool", "")
    assert invoke(["check", "--config", str(site.directory / "config.yaml")]) == 78
    output = capsys.readouterr()
    assert "fault  dxl.config_file = " in output.out
    assert "fault  spool.directory = " in output.out
    assert len(output.err.splitlines()) == 2
    assert "provisionconfig" in output.err


def test_check_of_a_fresh_clone_asks_for_dxlclient_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    reference = (Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8")
    (tmp_path / "config.yaml").write_text(reference, encoding="utf-8")
    assert invoke(["check", "--config", str(tmp_path / "config.yaml")]) == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert "dxlclient.config': does not exist" in line


def test_check_shows_no_secret(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.write("password", "hunter4")
    with_kafka(
        site, "protocol: sasl_ssl, key_password: hunter1, sasl: {mechanism: PLAIN, username: u, password: hunter2}"
    )
    flags = ["--set", "kafka.producer.proxy_url=http://me:hunter3@proxy"]
    invoke(["check", "--config", str(site.directory / "config.yaml"), *flags])
    with_kafka(site, "protocol: sasl_ssl, sasl: {mechanism: PLAIN, username: u, password_file: password}")
    invoke(["check", "--config", str(site.directory / "config.yaml")])
    output = capsys.readouterr()
    assert "kafka.security.sasl.password = set, not shown" in output.out
    assert "hunter" not in output.out + output.err
