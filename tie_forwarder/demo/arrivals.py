"""Reads what arrives in Kafka on a thread, while the demo goes on publishing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tie_forwarder.errors import ForwarderError
from tie_forwarder.kafka_queries import OutputRecord, OutputTail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

_POLL_SECONDS = 0.2


class Arrivals:
    """Counts the records of `topics` and hands each to `show`, on its own thread, from `start()` to `stop()`."""

    def __init__(
        self, *, connection: Mapping[str, Any], topics: Sequence[str], show: Callable[[OutputRecord], None]
    ) -> None:
        self._tail = OutputTail(connection=connection, topics=topics)
        self._show = show
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)
        self._counts = dict.fromkeys(topics, 0)
        self.failure: ForwarderError | None = None

    def start(self) -> None:
        """Connect, so that everything published from now on is seen, and start reading."""
        self._tail.__enter__()
        self._thread.start()

    def count(self, *topics: str) -> int:
        """How many records of these topics have been read. Any thread."""
        return sum(self._counts[topic] for topic in topics)

    def stop(self) -> None:
        """End the reading; blocks for a moment."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._tail.__exit__()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for record in self._tail.poll(_POLL_SECONDS):
                    self._counts[record.topic] += 1
                    self._show(record)
        except ForwarderError as error:
            self.failure = error
