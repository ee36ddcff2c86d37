"""`tie-forwarder replay`: dead letters that are valid events by today's rules go to their topics, each once."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tie_forwarder.cli import config_options
from tie_forwarder.cli.shared import selection_options
from tie_forwarder.printing import printable

if TYPE_CHECKING:
    from tie_forwarder.cli.shared import Progress
    from tie_forwarder.config import Config
    from tie_forwarder.dead_letters.letters import Selection
    from tie_forwarder.dead_letters.producer import ReplayProducer
    from tie_forwarder.dead_letters.replay import Counts, Refused
    from tie_forwarder.interruption import Interruption
    from tie_forwarder.kafka.queries import OutputReader

_FAILED, _INTERRUPTED = 1, 130
_DEAD_LETTER = "dead_letter"
_SHOW_CURSOR = "\x1b[?25h"


@click.command
@config_options
@selection_options
@click.option("--dry-run", is_flag=True, help="Only count what would be replayed; change nothing.")
def replay(
    config: Path | None, overrides: Mapping[str, str], since: int | None, reasons: Sequence[str], dry_run: bool
) -> int:
    """Publish dead letters that are valid now.

    Reads the dead-letter topic to its end and judges every letter by the rules, kinds and filters of today. What is
    valid goes to the topic of its kind, in one transaction with a marker in the dead-letter topic, so that a second run
    does nothing twice. May run beside the daemon, on any machine. Ends with 1 when Kafka refuses a record.
    """
    from tie_forwarder.cli.shared import progress
    from tie_forwarder.config import load
    from tie_forwarder.dead_letters.letters import Selection
    from tie_forwarder.dead_letters.replay import Fate
    from tie_forwarder.interruption import Interruption
    from tie_forwarder.kafka.queries import OutputReader
    from tie_forwarder.settings import connection_settings

    loaded = load(config, overrides=overrides)
    logging.getLogger("kafka").addHandler(logging.NullHandler())  # what it has to say stands in the errors
    topics = [loaded.kafka.topics.dead_letter] if dry_run else list(_topics(loaded).values())
    reader = OutputReader(connection=connection_settings(loaded.kafka), topics=topics)
    with Interruption() as interruption, reader:
        run = _Run(loaded, reader, Selection(since, frozenset(reasons)), interruption, dry_run=dry_run)
        try:
            with progress() as shown:
                whole = run.run(shown)
        finally:
            run.print_counts()
    if not whole:
        click.echo("interrupted: the rest is left as it was", err=True)
        return _INTERRUPTED
    return _FAILED if run.counts.total(Fate.REFUSED) else 0


class _Run:
    """Puts a replay together, and says what came of it."""

    def __init__(
        self,
        config: Config,
        reader: OutputReader,
        selection: Selection,
        interruption: Interruption,
        *,
        dry_run: bool,
    ) -> None:
        from tie_forwarder.dead_letters.replay import Counts
        from tie_forwarder.supervisor.reload import Filtering

        self._config = config
        self._reader = reader
        self._selection = selection
        self._interruption = interruption
        self._dry_run = dry_run
        filtering = Filtering(config)
        filtering.load(config)
        self._intake = filtering.intake
        self.counts: Counts = Counts()

    def run(self, shown: Progress) -> bool:
        """Whether it came to the end, and was not interrupted. Raises ForwarderError."""
        if self._dry_run:
            return self._replay(shown, None, set())
        outlet = self._outlet()
        try:
            replayed_before = self._hidden_events(outlet.open())
            return self._replay(shown, outlet, replayed_before)
        finally:
            outlet.close()

    def print_counts(self) -> None:
        """The count by reason, on standard output."""
        from tie_forwarder.dead_letters.replay import Fate

        names = [fate.value for fate in Fate]
        if self._dry_run:
            names[0] = "replayable"
        rows = [("reason", names), *((printable(reason), list(map(str, row))) for reason, row in self.counts.rows())]
        width = max(len(reason) for reason, _ in rows)
        for reason, cells in rows:
            aligned = "  ".join(cell.rjust(len(name)) for cell, name in zip(cells, names, strict=True))
            click.echo(f"{reason:<{width}}  {aligned}")

    def _replay(self, shown: Progress, outlet: ReplayProducer | None, replayed_before: set[bytes]) -> bool:
        from tie_forwarder.dead_letters.letters import DeadLetterTopic, Interrupted
        from tie_forwarder.dead_letters.replay import Replay

        def on_refused(refused: Refused) -> None:
            shown.say(f"Kafka refuses {refused.pair.event.event_id}: {refused.code}: {printable(refused.detail)}")

        # Asked after the outlet was opened: every earlier replay is over, and stands before this end.
        ends = self._reader.ends(committed=True)
        letters = self._config.kafka.topics.dead_letter
        replay = Replay(
            topic=DeadLetterTopic(
                reader=self._reader,
                ends={place: end for place, end in ends.items() if place[0] == letters},
                interrupted=lambda: self._interruption.requested,
                steps=shown,
            ),
            intake=self._intake,
            topic_of=self._config.kafka.topics.name_of,
            outlet=outlet,
            selection=self._selection,
            replayed_before=replayed_before,
            now_ms=lambda: time.time_ns() // 1_000_000,
            counts=self.counts,
            on_refused=on_refused,
        )
        try:
            replay.run()
        except Interrupted:
            return False
        return True

    def _hidden_events(self, begins: Mapping[tuple[str, int], int]) -> set[bytes]:
        """What an earlier replay had published and Kafka had hidden until now, without a marker perhaps."""
        from tie_forwarder.dead_letters.letters import packed, replayed_event

        ends = {place: end for place, end in self._reader.ends(committed=True).items() if place in begins}
        if not ends:
            return set()
        found = (replayed_event(record) for records in self._reader.read(ends, begins=begins) for record in records)
        return {packed(event_id) for event_id in found if event_id is not None}

    def _outlet(self) -> ReplayProducer:
        from tie_forwarder.dead_letters.producer import ReplayProducer
        from tie_forwarder.settings import connection_settings, registry_settings

        kafka = self._config.kafka
        return ReplayProducer(
            connection=connection_settings(kafka),
            options=dict(kafka.producer),
            topics=_topics(self._config),
            group=self._config.group.name,
            registry=registry_settings(kafka, kinds=self._config.dxl.events),
            stable_ends=lambda: self._reader.ends(committed=True),
            high_ends=lambda: self._reader.ends(committed=False),
            on_overrun=_end_at_once,
        )


def _topics(config: Config) -> dict[str, str]:
    """What a replay writes to, by destination."""
    return {kind: config.kafka.topics.name_of(kind) for kind in (*config.dxl.events, _DEAD_LETTER)}


def _end_at_once(overrun: str) -> None:
    """Only the end of the process ends a call of kafka-python that never returns."""
    if sys.stderr.isatty():
        click.echo(_SHOW_CURSOR, err=True, nl=False)
    click.echo(f"Kafka: {overrun} has not ended in time (run it again: what was replayed is marked)", err=True)
    os._exit(_FAILED)
