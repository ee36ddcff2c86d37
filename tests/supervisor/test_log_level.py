"""The log level at run time: who may wish for another, and what becomes of the wish."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import yaml

from tests.harness.waiting import wait_until
from tie_forwarder.cli import invoke
from tie_forwarder.errors import ForwarderError
from tie_forwarder.log import LEVELS
from tie_forwarder.log_level import FILE_NAME, ask, take
from tie_forwarder.spool.lock import DirectoryLock


@pytest.mark.parametrize("level", LEVELS)
def test_a_wish_is_taken_once_and_that_is_its_answer(tmp_path: Path, level: str) -> None:
    taken: list[str] = []

    def is_taken() -> bool:
        if (found := take(tmp_path)) is not None:
            taken.append(found)
        return bool(taken)

    def daemon() -> None:
        wait_until(is_taken, timeout=10.0, what="the wish")

    thread = threading.Thread(target=daemon)
    thread.start()
    assert ask(tmp_path, level, patience_seconds=10.0)
    thread.join()
    assert taken == [level]
    assert take(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_wish_that_nobody_takes_is_withdrawn(tmp_path: Path) -> None:
    assert not ask(tmp_path, "debug", patience_seconds=0.0)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ForwarderError, match="as the user that the daemon runs as"):
        ask(tmp_path / "nowhere", "debug", patience_seconds=0.0)


def test_what_is_no_wish_is_taken_away_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    for content in (b"loud\n", b"\xff\x1b[2J", b"", b"debug" * 1_000_000):
        path.write_bytes(content)
        assert take(tmp_path) is None
        assert not path.exists()
    secret = tmp_path / "elsewhere"
    secret.write_text("debug\n")
    path.symlink_to(secret)
    assert take(tmp_path) is None, "a link is not followed"
    assert (path.is_symlink(), secret.exists()) == (False, True)
    os.mkfifo(path)
    assert take(tmp_path) is None, "nobody is waited for"
    path.write_text("debug\n")
    assert take(tmp_path, allowed=lambda _: False) is None, "it is another user's"
    path.mkdir()
    assert take(tmp_path) is None


def test_the_verb_says_when_nobody_runs_or_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"spool": {"directory": str(tmp_path)}, "kafka": {"bootstrap_servers": ["a:1"]}}))
    assert invoke(["log-level", "debug", "--config", str(file)]) == 1
    assert "no forwarder runs with the spool directory" in capsys.readouterr().err
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    monkeypatch.setattr("tie_forwarder.cli.log_level._PATIENCE_SECONDS", 0.1)
    assert invoke(["log-level", "debug", "--config", str(file)]) == 1
    assert f"process {os.getpid()} did not take the new level" in capsys.readouterr().err
    lock.release()
    assert invoke(["log-level", "loud"]) == 2
