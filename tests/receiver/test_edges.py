"""The receiver's edges: it waits for a broker as dxlclient would find it, and does without what is not there."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dxlclient.message as dxl
import pytest

from tests.data.payloads import message
from tests.harness.mosquitto import Mosquitto
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.events.message import Message
from tie_forwarder.processes.frames import Decoder, Kind, decode_messages
from tie_forwarder.receiver.process import ReceiverProcess
from tie_forwarder.receiver.session import Session, broker_addresses, use_second_client_id, wait_for_a_broker
from tie_forwarder.receiver.speedups import install_compiled_unpacker


def test_a_broker_is_tried_by_its_name_and_by_its_address(authority: Authority, tmp_path: Path) -> None:
    identity = authority.issue("brokers")
    file = tmp_path / "dxlclient.config"
    file.write_text(
        f"[Certs]\nBrokerCertChain = {authority.ca_file}\nCertFile = {identity.certificate}\n"
        f"PrivateKey = {identity.key}\n[Brokers]\n"
        "{1} = {1};8883;broker.example;192.0.2.7\n{2} = {2};8884;localhost;localhost\n{3} = {3};8885;::1\n"
    )
    assert broker_addresses(file) == [
        ("broker.example", 8883), ("192.0.2.7", 8883), ("localhost", 8884), ("::1", 8885),
    ]  # fmt: skip


def test_the_wait_ends_when_any_of_the_brokers_listens_and_says_who_refused_until_then() -> None:
    closed, opened = free_port(), free_port()
    refused: list[str] = []
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def on_refused(text: str) -> None:
        refused.append(text)
        if len(refused) == 4:
            listener.bind(("127.0.0.1", opened))
            listener.listen()

    with listener:
        addresses = [("127.0.0.1", closed), ("127.0.0.1", opened)]
        assert wait_for_a_broker(addresses, stop=threading.Event(), on_refused=on_refused)
    assert refused[:2] == [f"127.0.0.1:{closed}: Connection refused", f"127.0.0.1:{opened}: Connection refused"]


def test_the_wait_ends_when_it_is_told_to() -> None:
    stop = threading.Event()
    assert not wait_for_a_broker([("127.0.0.1", free_port())], stop=stop, on_refused=lambda text: stop.set())


def test_behind_a_proxy_there_is_nothing_to_wait_for() -> None:
    assert wait_for_a_broker([], stop=threading.Event(), on_refused=pytest.fail)


def test_a_compiled_unpacker_that_is_missing_or_differs_is_left_out_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pure = dxl.msgpack.Unpacker
    monkeypatch.setattr(dxl.msgpack, "Unpacker", pure)
    monkeypatch.setitem(sys.modules, "srsly.msgpack._unpacker", None)
    assert not install_compiled_unpacker()
    broken = type(logging)("srsly.msgpack._unpacker")
    broken.Unpacker = lambda *args, **kwargs: iter([])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "srsly.msgpack._unpacker", broken)
    assert not install_compiled_unpacker()
    assert dxl.msgpack.Unpacker is pure
    events = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert events[0] == "receiver.unpacker.missing"
    assert events[-1] == "receiver.unpacker.differs"


def test_a_broker_that_hangs_does_not_make_the_session_hang_up(mosquitto: Mosquitto) -> None:
    lost: list[str] = []
    session = Session(
        config_file=mosquitto.client_config("session"),
        kinds=["detection"],
        keep_alive_seconds=1,
        take=lambda message: None,
        on_canary=lambda: None,
        on_lost=lost.append,
    )
    session.connect()
    mosquitto.hang()
    started = time.monotonic()
    try:
        # dxlclient's MQTT client hangs up when a ping has no answer for one keep-alive.
        wait_until(lambda: time.monotonic() - started > 4.0, timeout=10.0, what="more than two keep-alives")
        assert lost == []
        assert session.connected
    finally:
        mosquitto.resume()


class SilentLink:
    """Takes what a child says."""

    def listen(self, on_line: Callable[[dict[str, Any]], None]) -> None:
        self.on_line = on_line

    def send(self, frame: bytes) -> None:
        pass

    def send_json(self, kind: Kind, body: Any) -> None:
        pass


@pytest.fixture
def make_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ReceiverProcess]:
    """Makes receivers that never connect."""
    monkeypatch.setattr(ReceiverProcess, "_connect", lambda self: None)

    def make(**more: Any) -> ReceiverProcess:
        config = {
            "config_file": str(tmp_path / "dxlclient.config"), "events": ["detection"], "keep_alive_seconds": 60,
            "canary_interval_seconds": 2, "queue_events": 100, "successor": False, "second_client_id": False,
            "group": None, "member": "one",
        }  # fmt: skip
        return ReceiverProcess(link=SilentLink(), config={**config, **more})  # type: ignore[arg-type]

    return make


def test_a_successor_that_is_full_leaves_the_rest_to_the_broker_until_it_may_deliver(
    make_process: Callable[..., ReceiverProcess],
) -> None:
    process = make_process(successor=True, queue_events=3)
    delivered: list[bytes] = []
    process._link.send = delivered.append  # type: ignore[method-assign, assignment]
    running = threading.Thread(target=process.run, daemon=True)
    running.start()

    def take() -> None:
        for number in range(10):
            process._session._take(message(b"%d" % number))

    network = threading.Thread(target=take, daemon=True)
    network.start()
    wait_until(lambda: process._queue.depth == 3, timeout=5.0, what="a full queue")
    network.join(0.3)
    assert network.is_alive(), "it waits"
    assert delivered == []
    process._on_control({"verb": "deliver"})
    network.join(5.0)
    process._on_control({"verb": "stop"})
    running.join(5.0)
    bodies = [body for frame in delivered for _, body in Decoder().feed(frame)]
    payloads = [each.payload for body in bodies for each in decode_messages(body)]
    assert payloads[:3] == [b"0", b"1", b"2"], "in order"
    assert len(payloads) == process._queue.received - process._queue.dropped
    assert process._queue.received == 10


def test_a_receiver_that_cannot_deliver_reports_no_more(make_process: Callable[..., ReceiverProcess]) -> None:
    process = make_process()

    def fail(**_: Any) -> None:
        raise ZeroDivisionError("a bug")

    process._queue.take = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        process.run()
    hanging = threading.Event()

    def hang(**_: Any) -> list[Message]:
        hanging.wait()
        return []

    process._queue.take = hang  # type: ignore[method-assign]
    reports = []
    process._link.send_json = lambda kind, body: reports.append(body)  # type: ignore[method-assign]
    thread = threading.Thread(target=process.run, daemon=True)
    thread.start()
    thread.join(2.5)
    assert reports == [], "its status is no proof of anything else"
    process._stop.set()
    hanging.set()


def test_the_second_client_id_is_another_one_and_always_the_same() -> None:
    ids = []
    for first in ("{5f0d2c1a-9c1b-4a44-8f0e-4d2b0a5c7e11}", "{5f0d2c1a-9c1b-4a44-8f0e-4d2b0a5c7e11}", "no uuid"):
        config = SimpleNamespace(_client_id=first)
        use_second_client_id(config)
        ids.append(config._client_id)
    assert ids[0] == ids[1] != ids[2]
    assert all(str(uuid.UUID(each)) == each[1:-1] for each in ids)
