"""`check` warns of secrets that other users can read, and of files and directories that they can write."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.check_connect import Site, reader
from tie_forwarder.cli import invoke
from tie_forwarder.config import load
from tie_forwarder.config.verification import exposures
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.demo.servers import write_dxlclient_config

FILES = {
    "key": "[Certs] PrivateKey", "sasl": "kafka.security.sasl.password_file", "list": "filters.hashes_file",
    "dxlclient.config": "dxl.config_file", "config.yaml": "", "ca": "kafka.security.ca_file",
}  # fmt: skip


@pytest.fixture
def home(authority: Authority) -> Iterator[Path]:
    """A directory that every user may pass through, as pytest's own is not, with nothing wrong in it."""
    home = Path(tempfile.mkdtemp(prefix="exposure-"))
    home.chmod(0o755)
    site = home / "site"
    site.mkdir(mode=0o755)
    identity = authority.issue("client")
    shutil.copy(identity.key, site / "key")
    shutil.copy(authority.ca_file, site / "ca")
    dxl = write_dxlclient_config(
        site / "dxlclient.config", identity=identity, ca_file=authority.ca_file, brokers=[("127.0.0.1", 9)]
    )
    dxl.write_text(dxl.read_text().replace(str(identity.key), str(site / "key")))
    (site / "sasl").write_text("password")
    (site / "list").write_text("0" * 32)
    (site / "spool").mkdir(mode=0o750)
    (site / "config.yaml").write_text(
        "dxl: {config_file: dxlclient.config}\nfilters: {hashes_file: list}\nspool: {directory: spool}\n"
        "kafka: {security: {protocol: sasl_ssl, ca_file: ca,"
        " sasl: {mechanism: PLAIN, username: u, password_file: sasl}}}\n"
    )
    for name in FILES:
        (site / name).chmod(0o644)
    for name in ("key", "sasl"):
        (site / name).chmod(0o640)
    yield site
    shutil.rmtree(home)


def warned(home: Path) -> dict[str, str]:
    """The messages by the name of the option."""
    return {fault.field: fault.message for fault in exposures(load(home / "config.yaml", environ={}))}


def test_nothing_is_said_where_nothing_is_wrong(home: Path) -> None:
    assert warned(home) == {}


@pytest.mark.parametrize("name", ["key", "sasl"])
def test_a_secret_that_others_can_read_is_told(home: Path, name: str) -> None:
    (home / name).chmod(0o644)
    found = warned(home)
    assert set(found) == {FILES[name]}
    assert "read" in found[FILES[name]]
    home.chmod(0o750)  # nobody else gets there
    assert warned(home) == {}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_others_can_write_is_told(home: Path, name: str) -> None:
    (home / name).chmod(0o602)
    assert FILES[name] in warned(home)
    assert "written" in warned(home)[FILES[name]]


def test_the_configuration_itself_may_hold_a_secret(home: Path) -> None:
    text = (home / "config.yaml").read_text()
    (home / "config.yaml").write_text(text.replace("password_file: sasl", "password: hunter2"))
    assert "read" in warned(home)[""]
    (home / "config.yaml").write_text(text.replace(", password_file: sasl", ""))
    variable = {"TIE_FORWARDER_KAFKA__SECURITY__SASL__PASSWORD": "hunter2"}
    assert exposures(load(home / "config.yaml", environ=variable)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda home: home.chmod(0o777),
        lambda home: home.parent.chmod(0o757),
        lambda home: (home / "spool").chmod(0o753),
        lambda home: (home / "spool").chmod(0o1777),
    ],
)  # fmt: skip
def test_a_directory_that_others_can_write_is_told_once(home: Path, change: Callable[[Path], None]) -> None:
    change(home)
    assert len(warned(home)) == 1


def test_a_link_is_followed(home: Path) -> None:
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    (home / "list").rename(elsewhere / "list")
    (home / "list").symlink_to(elsewhere / "list")
    assert warned(home) == {}
    elsewhere.chmod(0o777)
    assert str(elsewhere) in warned(home)["filters.hashes_file"]


def test_a_sticky_directory_as_tmp_is_fine_for_what_is_there(home: Path) -> None:
    home.chmod(0o1777)
    assert warned(home) == {}


def test_check_says_it_and_ends_with_0(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "sasl").chmod(0o644)
    assert invoke(["check", "--config", str(home / "config.yaml")]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warn ")]
    assert "kafka.security.sasl.password_file" in line
    assert f"chmod o-rwx {home / 'sasl'}" in line


def test_check_connect_says_it_as_a_warning(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site({}, home / "unused" / "config.yaml", reader(capsys))
    site.config = {"spool": {"directory": str(home / "spool")}, "dxl": {"config_file": str(home / "dxlclient.config")}}
    assert site.check().line("configuration.exposure").state == "ok"
    (home / "key").chmod(0o644)
    line = site.check().line("configuration.exposure")
    assert (line.state, line.remedy) == ("warning", f"chmod o-rwx {home / 'key'}")


def test_files_that_cannot_be_looked_at_are_no_error(home: Path) -> None:
    (home / "dxlclient.config").unlink()
    shutil.rmtree(home / "spool")
    (home / "sasl").unlink()
    (home / "sasl").symlink_to("sasl")
    assert warned(home) == {}


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte"])
def test_a_path_that_cannot_be_looked_at_is_no_finding_and_is_not_shown(
    home: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """It may be a secret that was given in place of the name of its file."""
    text = (home / "config.yaml").read_text()
    escaped = name.replace("\0", "\\0")
    (home / "config.yaml").write_text(text.replace("password_file: sasl", f'password_file: "{escaped}"'))
    for arguments in (["check"], ["check", "--connect"], ["run"]):
        assert invoke([*arguments, "--config", str(home / "config.yaml")]) == 78
        shown = capfd.readouterr()
        assert name[:20] not in shown.out + shown.err
        assert "kafka.security.sasl.password_file" in shown.out + shown.err
        assert "Traceback" not in shown.err
