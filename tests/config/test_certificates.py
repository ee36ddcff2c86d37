"""Certificates as they are read from their files: expiry and what a TLS client would refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tie_forwarder.config.certificates import authority_findings, certificate_expiry, certificate_findings
from tie_forwarder.errors import ForwarderError

# From `openssl req -x509 -sha1`, because cryptography signs nothing with SHA-1. Valid for a century.
SHA1_SIGNED = """-----BEGIN CERTIFICATE-----
MIIBczCCARqgAwIBAgIUAktCieogBgrTMGykZgovDAmWbyswCQYHKoZIzj0EATAP
MQ0wCwYDVQQDDAR3ZWFrMCAXDTI2MTEyNDA0MDUyNVoYDzIxMjYxMDMxMDQwNTI1
WjAPMQ0wCwYDVQQDDAR3ZWFrMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEisMg
ze9gcy7f7yZSbS5T7h7IIeHsmfBz9B/G0mQ6ICZDRloZ9CQi4oFLSRWqnTLmrwC0
0CekAdif7A8e7o/B0KNTMFEwHQYDVR0OBBYEFObtiokqRivizDhA5ld8200mDB/4
MB8GA1UdIwQYMBaAFObtiokqRivizDhA5ld8200mDB/4MA8GA1UdEwEB/wQFMAMB
Af8wCQYHKoZIzj0EAQNIADBFAiAaD9462HVNMXdIWuw+DEsI4eYncrKbKgz52pGh
wiiI4wIhAI2Q6AjUw22/nJvDhJwJUhrfIqJ8gVLPW7haMxBq96gu
-----END CERTIFICATE-----
"""
ENDS = datetime(2126, 10, 31, 4, 5, 25, tzinfo=UTC)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    file = tmp_path / "client.crt"
    file.write_text(SHA1_SIGNED, encoding="ascii")
    return file


def test_the_expiry_is_an_aware_time(certificate: Path) -> None:
    assert certificate_expiry(certificate) == ENDS


def test_a_certificate_signed_with_sha1_is_refused(certificate: Path) -> None:
    (found,) = certificate_findings(certificate, now=ENDS - timedelta(days=1))
    assert "SHA1" in found.message
    assert "SHA-256" in found.remedy


def test_an_authority_may_have_signed_itself_with_sha1(certificate: Path) -> None:
    assert authority_findings(certificate, now=ENDS - timedelta(days=1)) == []


def test_a_certificate_is_good_until_the_second_it_ends(certificate: Path) -> None:
    assert authority_findings(certificate, now=ENDS) == []
    assert len(authority_findings(certificate, now=ENDS + timedelta(seconds=1))) == 1


def test_the_expiry_of_what_is_not_there_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ForwarderError, match=r"none\.crt' does not exist \(correct the path"):
        certificate_expiry(tmp_path / "none.crt")


def test_the_expiry_of_what_is_no_certificate_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----", encoding="ascii")
    with pytest.raises(ForwarderError, match="holds no readable PEM certificate"):
        certificate_expiry(tmp_path / "key.pem")
