"""What is wrong with the files of an installed service is one sentence and code 78, which the unit does not try again.

The real ExecStart runs under the unit's restrictions.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.harness.fabric import Fabric
from tests.systemd.sandbox import Sandbox
from tests.systemd.site import lay_out
from tie_forwarder.demo.certificates import Authority

SASL = {"mechanism": "PLAIN", "username": "me", "password_file": "kafka-password"}
CONFIG = {"kafka": {"security": {"protocol": "sasl_plaintext", "sasl": SASL}}}

Spoil = Callable[[Sandbox, Fabric], object]


@pytest.fixture
def fabric(authority: Authority, tmp_path: Path) -> Fabric:
    """Nobody listens there: nothing of this gets so far."""
    return Fabric(directory=tmp_path / "fabric", authority=authority, port=9)


def remove(name: str) -> Spoil:
    return lambda sandbox, _: (sandbox.etc / name).unlink()


def forbid(name: str) -> Spoil:
    return lambda sandbox, _: (sandbox.etc / name).chmod(0o000)


def another_key(sandbox: Sandbox, fabric: Fabric) -> None:
    key = sandbox.etc / "faults.key"
    key.unlink()
    key.write_bytes(fabric.authority.issue("another").key.read_bytes())


def expired(sandbox: Sandbox, fabric: Fabric) -> None:
    now = datetime.now(UTC)
    identity = fabric.authority.issue("faults", valid_from=now - timedelta(days=3), valid_until=now - timedelta(days=1))
    (sandbox.etc / "faults.crt").write_bytes(identity.certificate.read_bytes())
    (sandbox.etc / "faults.key").write_bytes(identity.key.read_bytes())


def misspelt(sandbox: Sandbox, _: Fabric) -> None:
    file = sandbox.etc / "config.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "kafak": {}}))


def another_spool(sandbox: Sandbox, _: Fabric) -> None:
    file = sandbox.etc / "config.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"spool": {"directory": "/srv/spool"}}))


def no_credential(sandbox: Sandbox, _: Fabric) -> None:
    (sandbox.credentials / "kafka-password").unlink()


def empty_credential(sandbox: Sandbox, _: Fabric) -> None:
    (sandbox.credentials / "kafka-password").write_text("\n")


FAULTS: dict[str, tuple[Spoil, str, str]] = {
    "no configuration": (remove("config.yaml"), "config.yaml: cannot be read", "with --config"),
    "an option misspelt": (misspelt, "kafak: there is no such option", "kafka"),
    "no dxlclient.config": (remove("dxlclient.config"), "dxlclient.config': does not exist", "provisionconfig"),
    "no certificate": (remove("faults.crt"), "[Certs] CertFile = '/etc/tie-forwarder/faults.crt': does not", "put the"),
    "a key that is closed": (forbid("faults.key"), "faults.key': cannot be read: Permission denied", "may read"),
    "a key of another": (another_key, "does not belong to the certificate", "made together"),
    "a certificate that has ended": (expired, "faults.crt': expired on", "renew the certificate"),
    "no credential": (
        no_credential,
        "password_file: does not",
        "credential of that name",
    ),
    "an empty credential": (empty_credential, "password_file: is empty", "write the secret"),
    "a spool out of bounds": (another_spool, "spool.directory = '/srv/spool': cannot be made", "right to write"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_each_fault_is_one_sentence_with_its_remedy_and_code_78(
    what: str, tmp_path: Path, fabric: Fabric, provisioned: None
) -> None:
    sandbox = Sandbox(directory=tmp_path)
    lay_out(sandbox.etc, fabric=fabric, name="faults", config=CONFIG)
    (sandbox.credentials / "kafka-password").write_text("right-password-5530\n")
    spoil, sentence, remedy = FAULTS[what]
    spoil(sandbox, fabric)
    done = subprocess.run(sandbox.command(), capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 78, done.stderr
    assert "78" in sandbox.unit.one("RestartPreventExitStatus").split()
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert sentence in said
    assert remedy in said
    assert "right-password" not in said


def test_a_program_that_is_missing_is_one_sentence_and_code_127(tmp_path: Path, provisioned: None) -> None:
    sandbox = Sandbox(directory=tmp_path)
    program = sandbox.unit.command
    done = subprocess.run(
        sandbox.command([program[0], f"{program[1]}-missing"]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 127
    assert "127" in sandbox.unit.one("RestartPreventExitStatus").split()
    assert len(done.stderr.splitlines()) == 1
    assert "No such file or directory" in done.stderr
