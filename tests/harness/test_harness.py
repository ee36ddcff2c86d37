"""Processes of the harness start, end and are asked as the tests rely on; what is missing is installed or named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.harness.forwarder import Forwarder, parse_metrics
from tests.harness.kafka.installation import Installation
from tests.harness.provision import missing
from tests.harness.server_process import ServerProcess, is_gone, processes_left
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]


class TestServerProcess:
    def server(self, directory: Path, program: str, *, ready: bool = True) -> ServerProcess:
        return ServerProcess(
            name="server",
            command=[sys.executable, "-c", program],
            directory=directory,
            ready=lambda: ready and "ready" in self.log_of(directory),
            start_timeout=5.0,
        )

    def log_of(self, directory: Path) -> str:
        return (directory / "server.log").read_text()

    def test_quotes_the_log_of_a_server_that_does_not_start(self, tmp_path: Path) -> None:
        server = self.server(tmp_path, "raise SystemExit('no such option: colour')")

        with pytest.raises(RuntimeError, match=r"ended with 1 .*\n.*no such option: colour"):
            server.start()

    def test_hears_of_a_terminated_server_how_it_ended(self, tmp_path: Path) -> None:
        program = "import signal; print('ready', flush=True); signal.pause()"

        with self.server(tmp_path, program) as server:
            assert server.terminate() == -signal.SIGTERM
            assert server.exit_code == -signal.SIGTERM
            server.restart()
            assert server.alive
        assert server.wait(timeout=0) == -signal.SIGKILL

    def test_finds_what_a_killed_server_left_behind(self, tmp_path: Path) -> None:
        program = (
            "import signal, subprocess, sys\n"
            "subprocess.Popen([sys.executable, '-c', 'import signal; print(\"ready\", flush=True); signal.pause()'])\n"
            "signal.pause()"
        )
        before = {process.pid for process in processes_left()}
        with self.server(tmp_path, program):
            pass

        orphans = [process for process in processes_left() if process.pid not in before]

        assert len(orphans) == 1
        orphans[0].kill()
        wait_until(lambda: is_gone(orphans[0]), timeout=10, what="the orphan gone")

    def test_dies_with_the_process_that_started_it(self, tmp_path: Path) -> None:
        program = (
            "from pathlib import Path\n"
            "import signal, sys\n"
            "from tests.harness.server_process import ServerProcess\n"
            "server = ServerProcess(name='sleeper', command=['sleep', '600'], directory=Path(sys.argv[1]),\n"
            "                       ready=lambda: True)\n"
            "server.start()\n"
            "print(server.pid, flush=True)\n"
            "signal.pause()"
        )
        starter = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        assert starter.stdout is not None
        sleeper = psutil.Process(int(starter.stdout.readline()))

        starter.kill()
        starter.communicate()

        wait_until(lambda: is_gone(sleeper), timeout=10, what="the sleeper gone")


STAND_IN = """
import http.server, json, subprocess, sys, yaml
config = yaml.safe_load(open(sys.argv[sys.argv.index("--config") + 1]))
for part in ("receiver", "publisher"):
    subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", f"tie_forwarder.{part}"])
class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        pages = {"/readyz": "yes", "/metrics": 'events_total{kind="detection",a="b"} 3\\nup 1\\n',
                 "/status": json.dumps({"state": "ok", "ledger": {"in_spool": 0}, "config": config})}
        self.send_response(200 if self.path in pages else 503)
        self.end_headers()
        self.wfile.write(pages.get(self.path, "").encode())
host, port = config["http"]["listen"].split(":")
http.server.ThreadingHTTPServer((host, int(port)), Pages).serve_forever()
"""


class TestForwarder:
    @pytest.fixture
    def forwarder(self, tmp_path: Path) -> Iterator[Forwarder]:
        """A program that keeps to the contract of the command line, the configuration and the pages."""
        forwarder = Forwarder(
            directory=tmp_path,
            dxl_config=tmp_path / "dxlclient.config",
            bootstrap_servers=["127.0.0.1:1"],
            topics=Topics.unique("stand-in"),
            options={"spool": {"max_bytes": "1MiB"}},
            program=(sys.executable, "-c", STAND_IN),
        )
        with forwarder:
            yield forwarder

    def test_is_configured_as_its_users_would(self, forwarder: Forwarder) -> None:
        config = forwarder.status()["config"]

        assert config["dxl"]["config_file"].endswith("dxlclient.config")
        assert config["kafka"]["topics"]["dead_letter"].startswith("stand-in-")
        assert config["spool"] == {"directory": str(forwarder.spool_directory), "max_bytes": "1MiB"}

    def test_is_asked_by_http(self, forwarder: Forwarder) -> None:
        assert forwarder.ledger() == {"in_spool": 0}
        assert forwarder.metrics() == {'events_total{a="b",kind="detection"}': 3.0, "up": 1.0}
        assert forwarder.get("/elsewhere")[0] == 503
        forwarder.wait_until_drained(timeout=5)
        with pytest.raises(TimeoutError, match=r"blue; status of forwarder: .*\"state\": \"ok\""):
            forwarder.wait_until(lambda f: f.status()["state"] == "blue", timeout=0.1, what="blue")

    def test_hangs_and_dies_in_parts_or_as_a_whole(self, forwarder: Forwarder) -> None:
        forwarder.hang("receiver")
        assert forwarder.part("receiver").status() == psutil.STATUS_STOPPED
        forwarder.resume("receiver")
        wait_until(
            lambda: forwarder.part("receiver").status() != psutil.STATUS_STOPPED, timeout=5, what="receiver resumed"
        )
        publisher = forwarder.part("publisher")
        forwarder.kill_part("publisher")
        assert is_gone(publisher)
        receiver = forwarder.part("receiver")

        forwarder.kill_all()

        assert not forwarder.alive
        assert is_gone(receiver)

    def test_names_samples_as_prometheus_does(self) -> None:
        assert parse_metrics('# TYPE a counter\na_total{x="1"} 2\n') == {'a_total{x="1"}': 2.0}


class TestProvisioning:
    def test_has_left_nothing_to_do(self, provisioned: None) -> None:
        assert missing() == []

    def test_is_complete_only_once_its_stamp_is_written(self, tmp_path: Path) -> None:
        installation = Installation(tmp_path)
        assert not installation.complete

        installation.mark_complete()

        assert installation.complete

    def test_says_in_one_sentence_what_it_cannot_install(self, tmp_path: Path) -> None:
        environment = {**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}

        done = subprocess.run(
            [sys.executable, "-m", "tests.harness.provision"],
            cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

        assert done.returncode == 1
        assert "maven" in done.stderr
        assert "install" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_wait_names_what_did_not_happen() -> None:
    never = threading.Event()

    with pytest.raises(TimeoutError, match=r"not within 0\.05 s: the event"):
        wait_until(never.is_set, timeout=0.05, what="the event")
