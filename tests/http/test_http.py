"""The pages say what the board says, and no client can keep another one waiting."""

from __future__ import annotations

import http.client
import json
import random
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.clock import Clock
from tests.harness.ports import is_listening
from tests.harness.waiting import wait_until
from tie_forwarder.config.address import Address
from tie_forwarder.errors import ForwarderError
from tie_forwarder.http.application import Application, Board, Notice
from tie_forwarder.http.server import Server

PROMPT_SECONDS = 1.0


class Site:
    """A served board, and a client for it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.board = Board(monotonic=self.clock)
        self.allowed_hosts: tuple[str, ...] = ("forwarder.example.com",)
        registry = CollectorRegistry()
        Counter("things", "Things.", ["kind"], registry=registry).labels('quite\n"odd"').inc()
        # An answer that fills every buffer between server and client many times.
        Counter("large", "x" * 4_000_000, registry=registry)
        self.server = Server(
            application=Application(board=self.board, registry=registry, allowed_hosts=lambda: self.allowed_hosts),
            address=Address("127.0.0.1", 0),
        )

    def ask(self, path: str, *, method: str = "GET", **more: Any) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=5.0)
        try:
            connection.request(method, path, **more)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def answers_promptly(self) -> bool:
        started = time.monotonic()
        return self.ask("/healthz")[0] == 200 and time.monotonic() - started < PROMPT_SECONDS

    def connect(self, data: bytes = b"") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.server.port), timeout=5.0)
        client.sendall(data)
        return client


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    site.server.start()
    yield site
    site.server.stop()
    assert not is_listening(site.server.port)


def test_health_and_readiness_say_what_was_posted_and_why(site: Site) -> None:
    assert site.ask("/readyz") == (503, "not ready: starting\n")
    site.board.post(Notice(ready=True))
    assert site.ask("/healthz") == (200, "live\n")
    assert site.ask("/readyz") == (200, "ready\n")
    site.board.post(Notice(why_not_ready="the broker is away"))
    assert site.ask("/healthz")[0] == 200
    assert site.ask("/readyz") == (503, "not ready: the broker is away\n")
    site.board.post(Notice(live=False))
    assert site.ask("/healthz")[0] == 503


def test_a_main_loop_that_posts_nothing_any_more_is_not_live(site: Site) -> None:
    site.board.post(Notice(ready=True))
    site.clock.now += 11.0
    assert site.ask("/healthz")[0] == 503
    status, text = site.ask("/readyz")
    assert status == 503
    assert "no progress" in text


def test_the_status_is_json_and_the_metrics_can_be_parsed(site: Site) -> None:
    said = {"state": "ok", "detail": "\u20ac", "file": "\udcff"}
    site.board.post(Notice(status=said))
    status, text = site.ask("/status")
    assert (status, json.loads(text)) == (200, said)
    families = {family.name: family for family in text_string_to_metric_families(site.ask("/metrics")[1])}
    assert families["things"].samples[0].labels == {"kind": 'quite\n"odd"'}


ALLOWED = [
    "127.0.0.1", "127.0.0.1:9469", "[::1]", "[::1]:9469", "10.1.2.3:80", "[fe80::1%eth0]:80", "localhost",
    "LocalHost:9469", "localhost.", socket.gethostname(), "forwarder.example.com:9469", "FORWARDER.example.com",
]  # fmt: skip
REFUSED = [
    "evil.example", "evil.example:9469", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:localhost",
    "[::1].evil.example", "[evil]", "127.0.0.1, evil.example", "evil@127.0.0.1", "127.0.0.1:80:80",
    "x.forwarder.example.com", "*", "[", "%00", "\xff", "0x7f.1",
]  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/status"])
def test_only_known_host_names_may_see_the_page_and_the_status(site: Site, path: str) -> None:
    for host in ALLOWED:
        assert site.ask(path, headers={"Host": host})[0] == 200, host
    for host in REFUSED:
        status, text = site.ask(path, headers={"Host": host})
        assert status == 403, host
        assert "http.allowed_hosts" in text
    site.allowed_hosts = ()
    assert site.ask(path, headers={"Host": "forwarder.example.com"})[0] == 403
    assert site.ask("/healthz", headers={"Host": "evil.example"})[0] == 200
    client = site.connect(b"GET /status HTTP/1.0\r\n\r\n")  # no browser is without a Host header
    assert client.recv(1000).startswith(b"HTTP/1.0 200")


def test_the_metrics_answer_whatever_format_is_asked_for() -> None:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc()
    application = Application(board=Board(), registry=registry)
    parts = [
        "application/openmetrics-text",
        "text/plain",
        "*/*",
        ";",
        ",",
        "=",
        "version",
        "escaping",
        "1.0.0",
        "x",
        "dots",
    ]
    parts += [
        "0.0.1",
        "2",
        "1.0.0.0.0",
        "-1",
        "values",
        "underscores",
        "allow-utf-8",
        "q=0.5",
        "",
        " ",
        "\xff",
        "1e9",
        "9" * 5000,
    ]
    random_ = random.Random(22)
    accepts = ["application/openmetrics-text; version=x; escaping=dots"]
    for _ in range(2_000):
        kind, version, escaping = random_.choices(parts, k=3)
        accepts.append(f"{kind};version={version};escaping={escaping}")
    accepts += ["".join(random_.choices(parts, k=random_.randint(0, 12))) for _ in range(2_000)]
    for accept in accepts:
        started: list[str] = []
        environ = {"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET", "HTTP_ACCEPT": accept}
        body = b"".join(application(environ, lambda status, _: started.append(status)))  # noqa: B023 - called at once
        assert started == ["200 OK"], accept
        assert b"total 1.0\n" in body


def test_other_paths_and_methods_are_refused(site: Site) -> None:
    assert site.ask("/index.html")[0] == 404
    assert site.ask("/status/../etc/passwd")[0] == 404
    assert site.ask("/status", method="POST", body=b"x" * 100)[0] == 405
    assert site.ask("/status", method="DELETE")[0] == 405
    assert site.ask("/healthz", method="HEAD") == (200, "")
    assert site.ask("/healthz?deep=1") == (200, "live\n")


def test_a_huge_header_and_a_huge_body_are_refused(site: Site) -> None:
    assert site.ask("/status", headers={"X-Long": "x" * 50_000})[0] == 431
    assert site.ask("/status", method="POST", body=b"x" * 50_000)[0] == 413
    with site.connect(b"\x00\xff" * 1000 + b"\r\n\r\n") as broken:
        assert broken.recv(100).startswith(b"HTTP/1.0 400")
    assert site.answers_promptly()


def test_it_is_not_closed_before_it_was_woken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = site.server._listener
    assert listener is not None
    wake = listener.wake

    def wake_slowly() -> None:
        wake()
        time.sleep(0.1)
        wake()

    monkeypatch.setattr(listener, "wake", wake_slowly)
    site.server.stop()
    assert not site.server._thread.is_alive()  # type: ignore[union-attr]


def test_a_hundred_slow_clients_keep_nobody_waiting(site: Site) -> None:
    clients = [site.connect(b"GET /metrics HTTP/1.1\r\nX-Slow: ") for _ in range(100)]
    assert site.answers_promptly()
    listener = site.server._listener
    assert listener is not None
    wait_until(lambda: len(listener.active_channels) <= 64, timeout=5.0, what="room for others")
    for client in clients:
        client.close()


def test_clients_that_never_read_keep_nobody_waiting_and_are_let_go(site: Site) -> None:
    clients = [site.connect(b"GET /metrics HTTP/1.1\r\n\r\n") for _ in range(8)]
    assert site.answers_promptly()
    listener = site.server._listener
    assert listener is not None
    for channel in list(listener.active_channels.values()):
        channel.creation_time -= 31.0
    wait_until(lambda: not listener.active_channels, timeout=5.0, what="all of them let go")
    for client in clients:
        client.close()


def test_a_client_that_drips_is_let_go_in_the_end(site: Site) -> None:
    with site.connect(b"GET /metrics HTTP/1.1\r\nX-Drip: ") as client:
        listener = site.server._listener
        assert listener is not None
        wait_until(lambda: bool(listener.active_channels), timeout=5.0, what="the connection")
        [channel] = listener.active_channels.values()
        channel.creation_time -= 31.0
        client.sendall(b"x")
        assert client.recv(100) == b""


def test_a_port_in_use_is_one_sentence_with_a_remedy(site: Site) -> None:
    second = Server(application=site.server._application, address=Address("127.0.0.1", site.server.port))
    with pytest.raises(ForwarderError, match=r"http\.listen = '127\.0\.0\.1:\d+': Address already in use \(give"):
        second.start()
    second.stop()
