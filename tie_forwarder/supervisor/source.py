"""One child's frames as the flow reads them: from attachment to the end of its pipe."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from tie_forwarder.children.child import Child
from tie_forwarder.children.frames import Decoder, Kind

_READ_BYTES = 256 * 1024
_LONGEST_TEXT = 500


class Source:
    """Reads what is there and hands over whole frames. `read` belongs to the flow's thread."""

    def __init__(self, *, child: Child, on_frame: Callable[[Kind, bytes], None]) -> None:
        self.child = child
        self.ended = threading.Event()
        """Set when nothing more can come: the pipe has ended, or its bytes are no frames."""
        self.broken = ""
        """What is wrong with the bytes; empty when nothing is."""
        self._on_frame = on_frame
        self._decoder = Decoder()

    def read(self) -> None:
        """Reads once and handles the complete frames. Never blocks; sets `ended` when it is over."""
        try:
            data = os.read(self.child.output, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.ended.set()
            return
        try:
            for kind, body in self._decoder.feed(data):
                self._on_frame(kind, body)
        except Exception as error:  # noqa: BLE001 - the child's bytes may be anything; it is the child that must go
            self.broken = f"{self.child.name} wrote what is no frame: {error!r}"[:_LONGEST_TEXT]
            self.ended.set()
