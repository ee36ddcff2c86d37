"""The dead-letter topic, read from its beginning to an end that was fixed beforehand, twice if need be.

Markers stand behind their letters, so what is known of a letter is known only when all has been read. The first reading
takes the markers, which are small; the second one takes the letters, one after the other, so that memory does not grow
with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tie_forwarder.dead_letters.letter import Letter, Marker, packed, read_record

if TYPE_CHECKING:
    from tie_forwarder.kafka_queries import OutputRecord

Ends: TypeAlias = "Mapping[tuple[str, int], int]"
"""Offsets by topic and partition."""


class Reader(Protocol):
    """Who reads records from Kafka."""

    def read(self, ends: Ends, *, begins: Ends | None = None) -> Iterator[list[OutputRecord]]:
        """What stands before these ends, and nothing at times; raises ForwarderError."""

    @property
    def unread(self) -> int:
        """How many offsets are left of the reading that is under way."""


class Steps(Protocol):
    """Who is shown how far it is."""

    def begin(self, what: str, total: int) -> None:
        """A new step, of so many pieces."""

    def left(self, count: int) -> None:
        """So many pieces of the step are left."""


class Interrupted(Exception):  # noqa: N818 - a wish, not an error
    """The user does not want to wait for the end."""


class DeadLetterTopic:
    """The letters and markers up to the end. One thread; each method may block and raises ForwarderError."""

    def __init__(
        self,
        *,
        reader: Reader,
        ends: Ends,
        interrupted: Callable[[], bool],
        steps: Steps,
    ) -> None:
        """`ends` are those of the dead-letter topic alone."""
        self._reader = reader
        self._ends = ends
        self._interrupted = interrupted
        self._steps = steps

    def markers(self) -> dict[bytes, Marker]:
        """Every marker by its packed id. Raises Interrupted."""
        return {packed(found.event_id): found for found in self._all("reading markers") if isinstance(found, Marker)}

    def letters(self) -> Iterator[Letter]:
        """Every letter, in the order of its partition. Raises Interrupted."""
        return (found for found in self._all("reading dead letters") if isinstance(found, Letter))

    def _all(self, what: str) -> Iterator[Letter | Marker | None]:
        begun = False
        for records in self._reader.read(self._ends):
            if not begun:
                self._steps.begin(what, self._reader.unread + len(records))
                begun = True
            yield from map(read_record, records)
            self._steps.left(self._reader.unread)
            if self._interrupted():
                raise Interrupted
