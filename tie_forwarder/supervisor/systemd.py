"""Telling systemd how the service is: datagrams to the socket in NOTIFY_SOCKET, as sd_notify(3) describes them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from tie_forwarder.status.health import Assessment

_MICROSECONDS = 1_000_000
_START_GOES_ON_SECONDS = 10.0
_LONGEST_STATUS = 400
_ALL_IS_WELL = {
    "ok": "ok: events are received and go to Kafka",
    "standby": "standby: events are received; another member of the group publishes them",
}


def sentence(assessment: Assessment) -> str:
    """How the service is, in plain words: what `systemctl status` shows."""
    if not assessment.problems:
        return _ALL_IS_WELL[assessment.state]
    worst = assessment.problems[0]
    parts = [part for part in (worst.detail, worst.remedy) if part]
    return f"{worst.state}, {worst.reason.replace('_', ' ')}: {'; '.join(parts)}"


class Notifier:
    """Sends states to the service manager, and nothing where there is none. Never blocks, never raises."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        watchdog = environ.get("WATCHDOG_USEC", "")
        meant_for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog_seconds = int(watchdog) / _MICROSECONDS / 3 if watchdog.isdigit() and meant_for_us else 0.0
        self._fed_at = self._extended_at = 0.0
        self._status = ""
        self._ready = False

    def tell(self, status: str, *, ready: bool, live: bool) -> None:
        """How things are this turn: in words, whether READY is due, and whether every loop makes progress."""
        self.status(status.replace("\n", " ")[:_LONGEST_STATUS])
        if ready:
            self.ready()
        if live:
            self.starting()
            self.alive()

    def ready(self) -> None:
        """READY=1, once."""
        if not self._ready:
            self._ready = True
            self._send("READY=1")

    def reloading(self) -> None:
        """RELOADING=1 with the time, which `Type=notify-reload` asks for; `ready_again` ends it.

        Not before the first READY: who still starts cannot reload, and READY would have to follow.
        """
        if self._ready:
            self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def ready_again(self) -> None:
        """READY=1 after a reload, if the service had been ready before it."""
        if self._ready:
            self._send("READY=1")

    def starting(self) -> None:
        """Asks for more time to start, as long as the start makes progress: a fabric may be away for days."""
        if not self._ready and time.monotonic() - self._extended_at >= _START_GOES_ON_SECONDS:
            self._extended_at = time.monotonic()
            self._send(f"EXTEND_TIMEOUT_USEC={int(6 * _START_GOES_ON_SECONDS * _MICROSECONDS)}")

    def stopping(self, *, within_seconds: float) -> None:
        """STOPPING=1, and how long that takes at most."""
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(within_seconds * _MICROSECONDS)}")

    def status(self, text: str) -> None:
        """STATUS= in plain words, when it has changed."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """WATCHDOG=1, three times per watchdog period; to be called only while every loop makes progress."""
        if self._watchdog_seconds and time.monotonic() - self._fed_at >= self._watchdog_seconds:
            self._fed_at = time.monotonic()
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(text.encode(), address)
        except OSError:
            return  # a service manager that does not listen must not hurt the service
