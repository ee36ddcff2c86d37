"""The bounded queue between the callback, which must never block, and the sender, which may."""

from __future__ import annotations

from queue import Empty, SimpleQueue

from tie_forwarder.events.message import Message

_ENVELOPE_BYTES = 400


class MessageQueue:
    """Bounded by count and by bytes. `put` belongs to one thread, `take` to another; neither waits for the other.

    Each counter has one writer, so that no lock is needed on the callback's path.
    """

    def __init__(self, *, most_messages: int, most_bytes: int) -> None:
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._queue: SimpleQueue[Message | None] = SimpleQueue()
        self._bytes_in = 0
        self._bytes_out = 0
        self._taken = 0
        self._closed = False
        self.received = 0
        """Messages offered by the callback since the start."""
        self.dropped = 0
        """Messages for which there was no room since the start."""

    @property
    def depth(self) -> int:
        """Messages waiting now."""
        return self.received - self.dropped - self._taken

    def has_room_for(self, message: Message) -> bool:
        """Whether `put` would take the message now."""
        return (
            self._bytes_in - self._bytes_out + _size(message) <= self._most_bytes
            and self._queue.qsize() < self._most_messages
        )

    def put(self, message: Message) -> None:
        """Takes the message, or counts it as dropped when there is no room. Never blocks."""
        if self._closed:
            return
        self.received += 1
        size = _size(message)
        full = self._bytes_in - self._bytes_out + size > self._most_bytes
        if full or self._queue.qsize() >= self._most_messages:
            self.dropped += 1
            return
        self._bytes_in += size
        self._queue.put(message)

    def close(self) -> None:
        """From now on nothing is taken and nothing is counted: the process is about to exit."""
        self._closed = True

    def wake(self) -> None:
        """Lets a waiting `take` return. Any thread."""
        self._queue.put(None)

    def take(self, *, most_messages: int, most_bytes: int, timeout_seconds: float) -> list[Message]:
        """Waits for a first message, then takes what is there up to the bounds; empty after the timeout or `wake`."""
        batch: list[Message] = []
        size = 0
        try:
            message = self._queue.get(timeout=timeout_seconds)
            while message is not None:
                batch.append(message)
                size += _size(message)
                if len(batch) >= most_messages or size >= most_bytes:
                    break
                message = self._queue.get_nowait()
        except Empty:
            pass
        self._bytes_out += size
        self._taken += len(batch)
        return batch


def _size(message: Message) -> int:
    """About what it takes in memory: a publisher chooses the length of its texts as it likes."""
    texts = len(message.message_id) + len(message.source_client_id) + len(message.source_broker_id)
    return len(message.payload) + texts + _ENVELOPE_BYTES
