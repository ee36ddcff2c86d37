"""The search itself: the whole spool, then the dead letters and the output of a stretch of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tie_forwarder.spool.database import FILE_NAME
from tie_forwarder.spool.survey import Steps, Survey
from tie_forwarder.tracing.sighting import Sighting, in_kafka, in_spool
from tie_forwarder.tracing.wanted import Wanted

if TYPE_CHECKING:
    from tie_forwarder.kafka_queries import OutputReader


class Search:
    """Looks for one thing. One thread; each method may block for long, and yields what it sees as soon as it does."""

    def __init__(self, wanted: Wanted, *, steps: Steps, interrupted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self._steps = steps
        self._interrupted = interrupted
        self.records = 0
        """How many records of Kafka were looked at."""

    def spool(self, directory: Path, *, topics: Mapping[str, str]) -> Iterator[Sighting]:
        """What waits in the spool; nothing where there is none. Raises ForwarderError where it cannot be read."""
        if not (directory / FILE_NAME).exists():
            return
        with Survey(directory, steps=self._steps) as survey:
            if self._wanted.event_id:
                row = survey.row(self._wanted.event_id)
                rows = iter(() if row is None else (row,))
            else:
                rows = survey.rows("looking through the spool")
            for row in rows:
                if self._wanted.event_id or self._wanted.is_meant(row.record.headers, row.record.value):
                    yield in_spool(row, topic=topics.get(row.record.destination))
                if self._interrupted():
                    return

    def kafka(self, reader: OutputReader, *, dead_letters: str, since_ms: int, every: bool) -> Iterator[Sighting]:
        """What stands in Kafka with a timestamp since then, the dead letters first. Raises ForwarderError.

        An event by its id stands in the output once, so it is not looked for beyond that, unless `every`.
        """
        begins, ends = reader.begins(since_ms), reader.ends(committed=True)
        once = bool(self._wanted.event_id) and not every
        for what, is_dead in (("looking through the dead letters", True), ("looking through the output", False)):
            places = [place for place in ends if (place[0] == dead_letters) == is_dead]
            self._steps.begin(what, sum(max(0, ends[place] - begins[place]) for place in places))
            reading = reader.read({place: ends[place] for place in places}, begins=begins)
            for records in reading:
                self.records += len(records)
                seen = [record for record in records if self._wanted.is_meant(record.headers, record.value or b"")]
                yield from (in_kafka(record, dead_letters=dead_letters) for record in seen)
                self._steps.left(reader.unread)
                if self._interrupted():
                    return
                if seen and once and not is_dead:
                    break
