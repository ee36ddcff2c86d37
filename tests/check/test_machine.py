"""`check --connect` and this machine: configuration, certificates, disk, port; how it is shown; its end in time."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import socket
import subprocess
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from click import unstyle
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.config.test_certificates import SHA1_SIGNED
from tests.harness.check_connect import Site, reader
from tests.harness.fake_fabric import Behaviour, FakeFabric
from tests.harness.forwarder import PROGRAM
from tests.harness.mosquitto import Mosquitto
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until
from tie_forwarder.check import certificates, disk, port
from tie_forwarder.check.disk import bounded, file_system_of
from tie_forwarder.check.fabric import addresses_of
from tie_forwarder.check.findings import AREAS, LINES, Finding, State, Trying
from tie_forwarder.check.session import Process, Result
from tie_forwarder.cli.check import as_lines, as_page
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool.lock import DirectoryLock

NOW = datetime.now(UTC)
DOCUMENT = Path(__file__).parents[2] / "docs" / "check.md"
PROMISED_SECONDS = 15.0


@pytest.fixture
def site(mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    """A configuration whose Kafka is not there, which is told at once."""
    config: dict[str, dict[str, Any]] = {
        "dxl": {"config_file": str(mosquitto.client_config("client"))},
        "kafka": {"bootstrap_servers": [f"127.0.0.1:{free_port()}"]},
        "spool": {"directory": str(tmp_path / "spool")},
        "http": {"listen": f"127.0.0.1:{free_port()}"},
    }
    return Site(config, tmp_path / "config.yaml", reader(capsys))


# The configuration


def test_a_configuration_that_cannot_be_used_leaves_the_rest_untried(site: Site) -> None:
    site.config["kafka"]["kye"] = "sha256"
    answer = site.check()
    assert answer.exit_code == 78
    line = answer.line("configuration.values")
    assert (line.state, "kafka.kye" in line.found) == ("failed", True)
    assert len(answer.of_state("not tried")) == len(AREAS) - 1


def test_files_that_are_missing_are_named_and_the_rest_is_tried(site: Site, tmp_path: Path) -> None:
    site.config["filters"] = {"hashes_file": str(tmp_path / "nothing")}
    answer = site.check()
    assert answer.exit_code == 78
    line = answer.line("configuration.files")
    assert line.state == "failed"
    assert "filters.hashes_file" in line.found
    assert answer.line("fabric.canary").state == "ok"
    site.config["dxl"]["config_file"] = str(tmp_path / "nowhere.config")
    answer = site.check()
    assert answer.line("fabric.name").state == "not tried"
    assert answer.line("disk.flush").state == "ok"
    site.config = {**site.config, "kafka": {"security": {"protocol": "sasl_plaintext", "sasl": {
        "mechanism": "PLAIN", "username": "u", "password_file": str(tmp_path / "secret")}}}}  # fmt: skip
    assert site.check().exit_code == 78


def test_a_registry_that_is_not_there_is_told(site: Site) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    site.config["kafka"]["schema_registry"] = {"url": url}
    line = site.failure("registry.schemas")
    assert line.found.startswith(f"the schema registry at {url}: ")


# Certificates


def self_signed(*, bits: int = 2048, issuer: str = "client", days: int = 90) -> bytes:
    key = rsa.generate_private_key(65_537, bits)
    by, of = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (issuer, "client"))
    begin, end = NOW - timedelta(days=1), NOW + timedelta(days=days)
    builder = x509.CertificateBuilder(by, of, key.public_key(), x509.random_serial_number(), begin, end)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def certificate_lines(authority: Authority, bundle: Path | None = None) -> dict[tuple[str, str], Finding]:
    """Those of the files of the client `client`."""
    files = {name: str(authority.directory / f"client.{name}") for name in ("crt", "key")}
    authorities = str(bundle or authority.ca_file)
    client = {"role": "DXL client", "kind": "client", "path": files["crt"], "key": files["key"]}
    settings = [
        {**client, "password": None, "authorities": authorities},
        {"role": "DXL brokers", "kind": "authorities", "path": authorities},
    ]
    steps = certificates.steps({"files": settings})
    return {(step.code, step.subject): step for step in steps if isinstance(step, Finding)}


def test_each_fault_of_a_certificate_has_its_line(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = authority.issue("client").certificate
    found = certificate_lines(authority)
    assert found["certificate.expiry", "DXL client"].state is State.WARNING  # it has 29 days
    assert found["certificate.chain", "DXL client"].found.startswith("issued by tie-forwarder CA, which is among")
    spoiled: list[tuple[bytes, str, str]] = [
        (b"nothing", "file", "holds no readable PEM certificate"),
        (SHA1_SIGNED.encode(), "signature", "signed with SHA1, which TLS libraries refuse"),
        (self_signed(bits=1024), "signature", "its RSA key has 1024 bits, which this machine's TLS library refuses"),
        (self_signed(), "key", "does not belong to the certificate"),
    ]
    for content, aspect, words in spoiled:
        client.write_bytes(content)
        line = certificate_lines(authority)[f"certificate.{aspect}", "DXL client"]
        assert (line.state, words in line.found, bool(line.remedy)) == (State.FAILED, True, True), line
    client.write_bytes(self_signed(issuer="tie-forwarder CA"))
    line = certificate_lines(authority)["certificate.chain", "DXL client"]
    assert (line.state, "is not signed by the authority of that name" in line.found) == (State.WARNING, True)
    for begin, end, words in (
        (None, NOW - timedelta(hours=1), "expired on"),
        (NOW + timedelta(hours=1), None, "valid only from"),
    ):
        authority.issue("client", valid_from=begin, valid_until=end)
        line = certificate_lines(authority)["certificate.expiry", "DXL client"]
        assert (line.state, words in line.found) == (State.FAILED, True)


def test_a_bundle_without_its_root_or_with_old_ones_is_told(tmp_path: Path) -> None:
    authority, bundle = Authority(tmp_path), tmp_path / "bundle.crt"
    authority.issue("client")
    bundle.write_bytes(self_signed(issuer="some root"))
    line = certificate_lines(authority, bundle)["certificate.chain", "DXL brokers"]
    assert (line.state, line.found) == (State.FAILED, "no root is in it, which TLS libraries ask for: some root")
    bundle.write_bytes(authority.ca_file.read_bytes() + self_signed(issuer="client", days=0))
    line = certificate_lines(authority, bundle)["certificate.expiry", "DXL brokers"]
    assert line.state is State.WARNING
    assert line.found.startswith("expired: client (")


# The disk


def lines(directory: Path, *, max_bytes: int = 1024**2) -> dict[str, Finding]:
    steps = disk.steps({"directory": str(directory), "max_bytes": max_bytes})
    return {step.code: step for step in steps if isinstance(step, Finding)}


def test_a_disk_in_order_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    found = lines(tmp_path / "a" / "spool")
    assert {finding.state for finding in found.values()} == {State.OK}
    assert f"it can be made in {tmp_path}" in found["disk.rights"].found
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = lines(tmp_path / "file" / "spool")
    assert found["disk.rights"].state is State.FAILED
    assert found["disk.flush"].state is State.NOT_TRIED


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setuid(65_534)


def test_what_another_user_has_left_there_is_named() -> None:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_become_nobody) as nobody:
        assert nobody.submit(lines, Path("/usr/spool")).result()["disk.rights"].found == "it cannot be made in /usr"
        found = nobody.submit(_with_a_foreign_file).result()
    assert found.state is State.FAILED
    assert "this user cannot write spool.sqlite" in found.found
    assert found.remedy.startswith("chown -R ")


def _with_a_foreign_file() -> Finding:
    with TemporaryDirectory() as directory:
        file = Path(directory) / "spool.sqlite"
        file.touch(mode=0o400)
        return lines(Path(directory))["disk.rights"]


def test_the_holder_is_named_on_a_file_system_with_device_numbers_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """btrfs and overlay show another device in /proc/locks than to stat."""
    lock, read = DirectoryLock(tmp_path), Path.read_text
    lock.acquire()
    inode = (tmp_path / "lock").stat().st_ino

    def read_as_on_btrfs(path: Path, *arguments: Any, **options: Any) -> str:
        text = read(path, *arguments, **options)
        return re.sub(rf"\S+:\S+:{inode}\b", f"00:7b:{inode}", text) if path == Path("/proc/locks") else text

    monkeypatch.setattr(Path, "read_text", read_as_on_btrfs)
    assert f" 00:7b:{inode} " in Path("/proc/locks").read_text()
    line = lines(tmp_path)["disk.lock"]
    lock.release()
    assert (line.state, line.found.split(" (")[0]) == (State.FAILED, f"in use by process {os.getpid()}")


def test_little_room_is_told(tmp_path: Path) -> None:
    assert lines(tmp_path, max_bytes=2**60)["disk.space"].state is State.WARNING


def test_file_systems_that_lose_the_spool_are_told() -> None:
    found = lines(Path("/dev/shm/spool"))
    assert (found["disk.file_system"].state, "is memory" in found["disk.file_system"].found) == (State.WARNING, True)
    table = "\n".join(
        [
            "1 0 8:1 / / rw - ext4 /dev/sda rw",
            "2 1 0:9 / /mnt/a\\040share rw shared:7 - nfs4 server:/x rw",
            "3 1 0:8 / /var/lib rw - overlay overlay rw",
        ]
    )
    assert file_system_of(Path("/mnt/a share/spool"), table=table) == ("nfs4", "/mnt/a share")
    assert file_system_of(Path("/var/lib/spool"), table=table) == ("overlay", "/var/lib")
    assert file_system_of(Path("/mnt"), table=table) == ("ext4", "/")


def test_a_slow_flush_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = os.fdatasync

    def slow(descriptor: int) -> None:
        time.sleep(0.15)  # what a slow disk does, which cannot be had here
        flush(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    monkeypatch.setattr(disk, "_FLUSHING_SECONDS", 0.3)
    assert lines(tmp_path)["disk.flush"].state is State.WARNING


# The port


def held(listen: str) -> Finding:
    host, _, number = listen.rpartition(":")
    settings = {"listen": listen, "host": host, "port": int(number), "group": "g", "member": "m"}
    (found,) = [step for step in port.steps(settings) if isinstance(step, Finding)]
    return found


def test_a_port_that_is_held_or_cannot_be_had_says_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = held(f"127.0.0.1:{server.getsockname()[1]}")
    assert found.state is State.FAILED
    assert found.found.startswith(f"held by process {os.getpid()} (")
    assert held(f"127.0.0.1:{free_port()}").state is State.OK
    assert held("192.0.2.1:9469").found == "this machine has no such address"
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_become_nobody) as nobody:
        assert nobody.submit(held, "127.0.0.1:80").result().found == "this user may not use that port"


# In time


@pytest.mark.quiet
def test_it_ends_in_time_whatever_hangs(
    site: Site, fake_fabric: FakeFabric, tmp_path: Path, authority: Authority
) -> None:
    fake_fabric.behaviour = Behaviour.SILENT
    site.config["dxl"]["config_file"] = str(fake_fabric.client_config("client"))
    pipe = tmp_path / "ca.crt"
    os.mkfifo(pipe)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = [f"127.0.0.1:{silent.getsockname()[1]}", "kafka.nowhere.invalid:9092"]
        site.config["kafka"] = {
            "bootstrap_servers": servers,
            "security": {"protocol": "ssl", "ca_file": str(pipe)},
        }
        site.write()
        began = time.monotonic()
        done = subprocess.run(
            [*PROGRAM, "check", "--connect", "--json", "--config", str(site.file)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert time.monotonic() - began < PROMISED_SECONDS
    assert done.returncode == 78
    found = {(line["code"], line["subject"]): line for line in json.loads(done.stdout)["findings"]}
    refused = found["certificate.file", "Kafka brokers"]
    assert "not a regular file" in refused["found"]
    assert refused["remedy"]
    assert found["kafka.server", servers[0]]["state"] == "failed"
    assert found["kafka.server", servers[1]]["found"].startswith("kafka.nowhere.invalid is not found")
    assert found["disk.flush", site.config["spool"]["directory"]]["state"] == "ok"
    (fabric,) = [line for (code, _), line in found.items() if code == "fabric.tls"]
    assert "stays silent" in fabric["found"]


def test_an_area_that_hangs_is_ended_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hanging.py").write_text(
        "import time\nfrom tie_forwarder.check.findings import Trying\n"
        "def steps(settings):\n    yield Trying('disk.lock', 'spool')\n    time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines = [Trying("disk.rights", "spool"), Trying("disk.lock", "spool")]
    process = Process(module="hanging", settings={}, expected=lines)
    process.start()
    assert process._process is not None
    child = psutil.Process(process._process.pid)
    wait_until(lambda: process._trying is not None, timeout=20, what="it has begun")
    found = {finding.code: finding for finding in process.findings()}
    assert found["disk.lock"].found.startswith("has not ended within")
    assert found["disk.rights"].state is State.NOT_TRIED
    child.wait(10)


def test_a_file_that_hangs_is_left(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ForwarderError, match="the file could not be read within 0 s"):
        bounded((tmp_path / "pipe").read_bytes, seconds=0.2, what="the file")
    (tmp_path / "pipe").write_bytes(b"")  # lets the thread go


@pytest.mark.parametrize("hanging", ["config.yaml", "dxlclient.config"])
def test_a_pipe_in_place_of_its_own_files_is_refused_at_once(site: Site, hanging: str) -> None:
    site.config["dxl"]["config_file"] = str(site.file.with_name("dxlclient.config"))
    site.write()
    pipe = site.file.with_name(hanging)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    command = [*PROGRAM, "check", "--connect", "--config", str(site.file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROMISED_SECONDS, check=False)
    assert done.returncode == 78
    assert "cannot be read: it is not a regular file; remedy: " in done.stdout
    assert done.stderr == ""


def test_a_name_server_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def wait(*_: object, **__: object) -> list[Any]:
        answered.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    assert addresses_of("broker.example", seconds=0.1) == "the name servers have not answered in 0 s"
    answered.set()


def test_a_process_that_dies_is_a_failure_and_never_a_success() -> None:
    for module, words in (("json", "has no attribute 'steps'"), ("tie_forwarder.nowhere", "died")):
        process = Process(module=module, settings={}, expected=[Trying("disk.rights", "a"), Trying("disk.space", "a")])
        process.start()
        process.wait(20)
        failed, untried = process.findings()
        assert (failed.code, failed.state, words in failed.found) == ("disk.rights", State.FAILED, True)
        assert untried.state is State.NOT_TRIED


# How it is shown


def test_each_line_is_whole_in_a_pipe_and_nothing_in_it_drives_a_terminal(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.run()
    *shown, last = capsys.readouterr().out.splitlines()
    assert all(line.split("  ")[0].strip() in {state.value for state in State} for line in shown)
    assert last.startswith("the service would not work: 1 failed (kafka.server), ")
    evil = Finding("fabric.tls", "a\x1b[2Jb", State.FAILED, "c\nd\x07", "e\x9bf")
    for text in (*as_lines(Result([evil], 1)), *as_page(Result([evil], 1), columns=80)):
        assert "\x1b[2J" not in text
        assert not {"\n", "\x07", "\x9b"} & set(text)


def test_the_page_fits_into_a_terminal(site: Site) -> None:
    words = "the broker's certificate is not issued by an authority of BrokerCertChain"
    findings = [Finding(code, "subject", State.FAILED, words, words) for code in LINES]
    page = list(map(unstyle, as_page(Result(findings, 1), columns=80)))
    assert max(map(len, page)) <= 80
    assert [heading for heading in AREAS.values() if heading not in page] == []
    untried = [
        Finding(f"topic.{aspect}", "t", State.NOT_TRIED, "an earlier line failed") for aspect in ("size", "rights")
    ]
    page = list(map(unstyle, as_page(Result(untried, 1), columns=80)))
    assert "    - not tried, an earlier line failed: size, rights" in page


def test_the_document_has_every_line_and_no_other() -> None:
    rows = [line.split("|")[1:3] for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    assert {code.strip(" `"): text.strip() for code, text in rows if "." in code} == LINES
    assert {code.partition(".")[0] for code in LINES} == set(AREAS)
