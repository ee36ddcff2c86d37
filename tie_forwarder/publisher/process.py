"""The publisher process: startup, the publishing loop, the status each second, and the end.

Threads: main publishes; `status` reports, also while main is held up in kafka-python; `control` listens to the parent.
The process ends by `os._exit`, because kafka-python's threads may not end.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from tie_forwarder.children.frames import Kind
from tie_forwarder.children.link import ParentLink
from tie_forwarder.publisher.at_least_once import AtLeastOnce
from tie_forwarder.publisher.bootstrap import wait_for_kafka
from tie_forwarder.publisher.causes import Causes
from tie_forwarder.publisher.delivery import Delivery, Refused
from tie_forwarder.publisher.diagnosis import Diagnosis
from tie_forwarder.publisher.errors import ErrorClass, PublisherError, Verdict
from tie_forwarder.publisher.grants import Grants
from tie_forwarder.publisher.partitions import Partitions
from tie_forwarder.publisher.patience import Patience
from tie_forwarder.publisher.producer import Producer
from tie_forwarder.spool import Reader, Row

_STATUS_SECONDS = 1.0
_EXIT_AFTER_ERROR = 3


class PublisherProcess:
    """Everything of one publisher process."""

    def __init__(self, *, link: ParentLink, config: dict[str, Any]) -> None:
        self._link = link
        self._config = config
        self._stop = threading.Event()
        self._grants = Grants()
        self._trouble: Verdict | None = None
        self._connected = False
        self._published = 0
        self._busy_since: float | None = None
        self._causes = Causes()
        self._diagnosis = Diagnosis(
            connection=config["connection"], topics=sorted(set(config["topics"].values())), causes=self._causes
        )
        self._patience = Patience(diagnosis=self._diagnosis, on_trouble=self._note, stop=self._stop)
        self._partitions = Partitions()

    def run(self) -> int:
        """Publishes until the parent says stop; returns the exit code."""
        self._causes.attach()
        self._link.listen(self._on_control)
        threading.Thread(target=self._report_status, name="status", daemon=True).start()
        servers = self._config["connection"]["bootstrap_servers"]
        if not wait_for_kafka(servers, stop=self._stop, on_trouble=self._note):
            return 0
        try:
            self._publish()
        except PublisherError as error:
            self._report_error(error.verdict)
            return _EXIT_AFTER_ERROR
        return 0

    def _publish(self) -> None:
        reader = Reader(Path(self._config["spool_directory"]))
        reader.open()
        delivery = Delivery(
            make_producer=self._make_producer,
            on_published=self._on_published,
            on_refused=self._on_refused,
            watch=self._patience.watch,
        )
        AtLeastOnce(
            reader=reader,
            grants=self._grants,
            delivery=delivery,
            on_corrupt=lambda positions: self._report({"corrupt": positions}),
            on_batch=self._on_batch,
        ).run()

    def _make_producer(self) -> Producer:
        return Producer(
            connection=self._config["connection"],
            options=self._config["options"],
            topics=self._config["topics"],
            member=self._config["member"],
            partitions=self._partitions,
        )

    def _on_batch(self) -> None:
        self._connected = True
        self._busy_since = time.monotonic()
        self._patience.start()
        self._note(None)

    def _on_published(self, rows: Sequence[Row]) -> None:
        if rows:
            self._causes.forget()
            self._published += len(rows)
            seconds = time.monotonic() - (self._busy_since or time.monotonic())
            self._report({"published": ranges([row.position for row in rows]), "seconds": seconds})
        self._busy_since = None

    def _on_refused(self, refused: Refused) -> None:
        verdict = refused.verdict
        self._report({"refused": {"position": refused.position, "code": verdict.code, "detail": verdict.detail}})

    def _report_error(self, verdict: Verdict) -> None:
        """Tells the parent why this process ends, with the cause behind a mere timeout."""
        if verdict.error_class is ErrorClass.TRANSIENT and verdict.code in ("timeout", "connection", "unknown"):
            verdict = self._causes.explain(verdict)
            if verdict.error_class is ErrorClass.TRANSIENT:
                verdict = self._diagnosis.ask() or verdict
        self._report({"error": verdict_fields(verdict)})

    def _report(self, body: dict[str, Any]) -> None:
        self._link.send_json(Kind.REPORT, body)

    def _report_status(self) -> None:
        while True:
            busy = self._busy_since
            self._link.send_json(
                Kind.STATUS,
                {
                    "connected": self._connected,
                    "published": self._published,
                    "waiting_seconds": 0.0 if busy is None else time.monotonic() - busy,
                    "trouble": None if self._trouble is None else verdict_fields(self._trouble),
                },
            )
            time.sleep(_STATUS_SECONDS)

    def _note(self, trouble: Verdict | None) -> None:
        self._trouble = trouble

    def _on_control(self, line: dict[str, Any]) -> None:
        if line["verb"] == "grant":
            self._grants.raise_to(line["through"])
        elif line["verb"] == "stop":
            self._stop.set()
            self._grants.close()


def ranges(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending positions as ranges, both ends included."""
    found: list[tuple[int, int]] = []
    for position in positions:
        if found and found[-1][1] == position - 1:
            found[-1] = (found[-1][0], position)
        else:
            found.append((position, position))
    return found


def verdict_fields(verdict: Verdict) -> dict[str, str]:
    """The verdict as JSON carries it."""
    return {
        "class": verdict.error_class.value,
        "code": verdict.code,
        "detail": verdict.detail,
        "remedy": verdict.remedy,
    }


def main() -> None:
    """The entry of `python -m tie_forwarder.publisher`; never returns."""
    link, config = ParentLink.attach("publisher")
    code = 1
    try:
        code = PublisherProcess(link=link, config=config).run()
    except Exception:  # noqa: BLE001 - the process's edge: the log tells the parent, the exit code too
        structlog.stdlib.get_logger().exception("publisher.failed")
    os._exit(code)
