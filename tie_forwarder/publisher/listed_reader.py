"""Reading the spool as far as this process knows a topic for what stands in it.

A kind that was taken out of `dxl.events` may still have events in the spool. They are published all the same: the
process tells its parent of the kind and ends, and the next one knows the kind's topic and reads its tail, too.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tie_forwarder.spool import Page, Reader


class UnlistedKind(Exception):  # noqa: N818 - no error: the next process can do what this one cannot
    """A row is of a kind that this process knows no topic for."""

    def __init__(self, destination: str) -> None:
        self.destination = destination
        super().__init__(destination)


class ListedReader(Reader):
    """A reader that raises UnlistedKind for a page with a row of any other destination."""

    def __init__(
        self, directory: Path, *, destinations: Collection[str], identity: tuple[int, int] | None = None
    ) -> None:
        super().__init__(directory, identity=identity)
        self._destinations = frozenset(destinations)

    def read(self, *, after: int, through: int, limit: int) -> Page:
        """As `Reader.read`."""
        page = super().read(after=after, through=through, limit=limit)
        unlisted = {row.record.destination for row in page.rows} - self._destinations
        if unlisted:
            raise UnlistedKind(min(unlisted))
        return page
