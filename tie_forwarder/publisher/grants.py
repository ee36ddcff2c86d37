"""How far the publisher may read: what it has been granted may be in flight, and no full spool drops it."""

from __future__ import annotations

import threading

from tie_forwarder.publisher.commands import NO_GAP, Gap


class Grants:
    """The highest position granted by the main process, and the gap that it reported last. Thread-safe.

    The main process reports a gap before it grants what was received after it, and both come through the same pipe: so
    nothing from after the gap is read by a member that has not yet dealt with it.
    """

    def __init__(self, *, gap: Gap = NO_GAP) -> None:
        self._changed = threading.Condition()
        self._through = 0
        self._gap = gap
        self._closed = False

    @property
    def through(self) -> int:
        """The last position that may be read."""
        return self._through

    @property
    def closed(self) -> bool:
        """Whether nothing is to be read any more."""
        return self._closed

    @property
    def gap(self) -> Gap:
        """The last gap in this member's own receiving."""
        return self._gap

    def note_gap(self, gap: Gap) -> None:
        """There is another gap, or the last one has ended."""
        with self._changed:
            self._gap = gap
            self._changed.notify_all()

    def raise_to(self, through: int) -> None:
        """Grants more."""
        with self._changed:
            self._through = max(self._through, through)
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the reading."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_beyond(self, position: int, *, timeout_seconds: float, gap: int | None = None) -> int:
        """Block until more than `position` is granted and return the highest granted position.

        Return 0 after the timeout, when closed, or at a gap after `gap`; None means that gaps do not matter.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._has_gap_after(gap) or self._through > position, timeout_seconds
            )
            granted = not self._closed and not self._has_gap_after(gap) and self._through > position
            return self._through if granted else 0

    def _has_gap_after(self, gap: int | None) -> bool:
        return gap is not None and self._gap.number > gap
