"""The unit files are what systemd's own checkers want, and the sandbox that is made from them holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.systemd.sandbox import Sandbox
from tests.systemd.unit_file import DEPLOY, UnitFile
from tie_forwarder.config import ConfigError
from tie_forwarder.config.sections import Shutdown

UNITS = ["tie-forwarder.service", "tie-forwarder@.service"]
MOST_EXPOSURE = 1.5

pytestmark = pytest.mark.usefixtures("provisioned")


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_verified_and_hardly_exposed(name: str) -> None:
    done = subprocess.run(["systemd-analyze", "verify", DEPLOY / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", DEPLOY / name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None, done
    assert float(exposure[1]) <= MOST_EXPOSURE


def test_the_unit_of_one_fabric_of_several_differs_in_its_places_only() -> None:
    one, several = (UnitFile(name) for name in UNITS)
    expected = {
        ("Unit", "Description"): ["Forwards TIE detections from the OpenDXL fabric %i to Apache Kafka"],
        ("Service", "ExecStart"): [one.one("ExecStart").replace("/config.yaml", "/%i/config.yaml")],
        ("Service", "StateDirectory"): ["tie-forwarder/%i"],
        ("Service", "LoadCredential"): [
            text.replace(":tie-forwarder.", ":tie-forwarder.%i.") for text in one.all("LoadCredential")
        ],
    }
    assert dict(several.items()) == dict(one.items()) | expected


def test_what_the_unit_says_of_codes_and_times_is_what_the_program_does() -> None:
    unit = UnitFile()
    assert str(ConfigError.exit_code) in unit.one("RestartPreventExitStatus").split()
    assert int(unit.one("TimeoutStopSec")) > Shutdown().drain_seconds + 30  # a loop may take so long to be found hung


def test_sysusers_and_tmpfiles_make_the_user_and_the_directories(tmp_path: Path) -> None:
    root = ["--root", str(tmp_path)]
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", *root, DEPLOY / "sysusers.conf"], check=True)
    subprocess.run(["systemd-tmpfiles", *root, "--create", DEPLOY / "tmpfiles.conf"], check=True)
    user = next(line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("tie-"))
    assert user.split(":")[-2:] == ["/var/lib/tie-forwarder", "/usr/sbin/nologin"]
    assert oct((tmp_path / "etc/tie-forwarder").stat().st_mode)[-4:] == "0750"
    assert oct((tmp_path / "etc/credstore").stat().st_mode)[-4:] == "0700"


def test_uninstall_leaves_no_unit_and_with_purge_no_secret(tmp_path: Path) -> None:
    kept = ("etc/credstore/other.password", "etc/credstore/tie-forwarder-other")
    secrets = ("etc/credstore/tie-forwarder.kafka-password", "etc/credstore/tie-forwarder.lab.kafka-password")
    ours = ("etc/tie-forwarder/config.yaml", "var/lib/tie-forwarder/spool/spool.sqlite")
    enabled = "etc/systemd/system/multi-user.target.wants/tie-forwarder@lab.service"
    for name in (*kept, *secrets, *ours, enabled, "etc/systemd/system/tie-forwarder@.service"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("there")

    def uninstall(**variables: str) -> set[str]:
        environment = {**os.environ, "DESTDIR": str(tmp_path), **variables}
        subprocess.run([DEPLOY / "install.sh", "uninstall"], check=True, env=environment)
        return {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}

    assert uninstall() == {*kept, *secrets, *ours}
    assert uninstall(PURGE="1") == set(kept)


FORBIDDEN = {
    "to be somebody": "assert os.getuid() == 0",
    "to write to the system": "open('/etc/tie-forwarder/x', 'w')",
    "to write elsewhere": "open('/var/lib/x', 'w')",
    "to see homes": "assert os.listdir('/home')",
    "to see the devices": "open('/dev/vda')",
    "another family of addresses": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a namespace": "assert libc.unshare(0x10000000) == 0",
    "executable memory": "mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
    "another priority": "os.nice(-1)",
    "to mount": "assert libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
}
PROBE = """
import ctypes, mmap, os, socket
libc = ctypes.CDLL(None)
"""


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_sandbox_allows_nothing_more(what: str, tmp_path: Path) -> None:
    probe = [sys.executable, "-c", f"{PROBE}\n{FORBIDDEN[what]}"]
    done = subprocess.run(Sandbox(directory=tmp_path).command(probe), capture_output=True, text=True, check=False)
    assert done.returncode == 1, f"{what}: {done}"
    assert re.search(r"(Permission|OS|FileNotFound|Assertion)Error", done.stderr), done.stderr
