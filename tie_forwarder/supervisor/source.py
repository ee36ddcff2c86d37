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
    """Reads what is there and hands over whole frames, with itself as their sender.

    `read` belongs to the flow's thread, and so does the pipe until `ended` is set.
    """

    def __init__(self, *, child: Child, on_frame: Callable[[Source, Kind, bytes], None]) -> None:
        self.child = child
        self.ended = threading.Event()
        """Set by the flow when it has let go of the pipe; only then may anyone close it."""
        self.superseded = False
        """Set by the main thread before it starts a successor although frames of this process may still come."""
        self.broken = ""
        """What is wrong with the bytes; empty when nothing is."""
        self._on_frame = on_frame
        self._decoder = Decoder()

    def read(self) -> bool:
        """Read once, handle the complete frames, and return whether more may come. Never blocks."""
        try:
            data = os.read(self.child.output, _READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        try:
            for kind, body in self._decoder.feed(data):
                self._on_frame(self, kind, body)
        except Exception as error:  # noqa: BLE001 - the child's bytes may be anything; it is the child that must go
            self.broken = f"{self.child.name} wrote what is no frame: {error!r}"[:_LONGEST_TEXT]
            return False
        return True
