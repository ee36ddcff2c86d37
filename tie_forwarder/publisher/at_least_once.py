"""Delivery for clusters without transactions: one member, the idempotent producer, no tail of the output.

After a crash, or where Kafka's answer was lost, records may stand in Kafka twice; none is lost, and order per key
holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tie_forwarder.publisher.batch_size import BatchSize
from tie_forwarder.publisher.delivery import Delivery
from tie_forwarder.publisher.grants import Grants
from tie_forwarder.spool import Reader

_IDLE_SECONDS = 1.0


class AtLeastOnce:
    """Publishes what the grants allow, in order, from the beginning of the spool. One thread."""

    def __init__(
        self,
        *,
        reader: Reader,
        grants: Grants,
        batch_size: BatchSize,
        delivery: Delivery,
        on_corrupt: Callable[[list[int]], None],
        on_open: Callable[[], None],
        on_batch: Callable[[], None],
        on_turn: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._grants = grants
        self._batch_size = batch_size
        self._delivery = delivery
        self._on_corrupt = on_corrupt
        self._on_open = on_open
        self._on_batch = on_batch
        self._on_turn = on_turn
        self._position = 0

    def run(self) -> None:
        """Publishes until the grants are closed. Raises PublisherError when the process has to go."""
        self._delivery.open()
        self._on_open()
        while not self._grants.closed:
            self.run_once()
        self._delivery.close()

    def run_once(self) -> None:
        """One batch, or a wait for one."""
        self._on_turn()
        if not self._grants.wait_beyond(self._position, timeout_seconds=_IDLE_SECONDS):
            return
        through = self._grants.through
        page = self._reader.read(after=self._position, through=through, limit=self._batch_size.rows)
        if page.corrupt:
            self._on_corrupt(page.corrupt)
        if page.rows:
            self._on_batch()
            self._batch_size.started(len(page.rows))
            began = time.monotonic()
            self._delivery.deliver(page.rows)
            self._batch_size.succeeded(time.monotonic() - began)
        self._position = page.last_position if page.rows or page.corrupt else through
