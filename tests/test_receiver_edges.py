"""The receiver's edges: it waits for a broker as dxlclient would find it, and does without what is not there."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from pathlib import Path

import dxlclient.message as dxl
import pytest

from tests.harness.ports import free_port
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.memory import Thrift
from tie_forwarder.receiver.brokers import broker_addresses, wait_for_a_broker
from tie_forwarder.receiver.unpacker import install_compiled_unpacker


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


def test_memory_is_given_back_once_after_a_burst_and_never_in_it() -> None:
    thrift = Thrift()
    looks = [thrift.look(count) for count in (0, 50_000, 100_000, 100_000, 100_000, 100_000, 100_000)]
    assert looks == [False, False, False, False, False, True, False]
    assert not any(thrift.look(100_010) for _ in range(10)), "a few are no burst"
