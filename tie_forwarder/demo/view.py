"""How the demo looks: the configuration, one line per record read back from Kafka, the ledger."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from tie_forwarder.errors import ForwarderError
from tie_forwarder.kafka.queries import OutputRecord, OutputTail
from tie_forwarder.printing import neutral

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
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


_NAME_CELLS, _HASH_CELLS, _AGENT_CELLS = 26, 21, 10
_LEDGER_WORDS = {
    "in_spool_at_start": "in the spool at start",
    "received": "+ received from the fabric",
    "published": "- published to Kafka",
    "settled": "- found in Kafka already",
    "filtered": "- kept back by a filter",
    "dropped": "- dropped",
    "duplicate": "- received twice",
    "in_spool": "- in the spool now",
    "imbalance": "= imbalance",
}


class DemoView:
    """Prints. Any thread."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """One plain sentence."""
        self._console.print(Text(text))

    def configuration(self, text: str) -> None:
        """The daemon's config.yaml."""
        self._console.print(Syntax(text.rstrip(), "yaml", background_color="default"))

    def addresses(self, *, config_file: Path, url: str) -> None:
        """Where the daemon can be asked, and its configuration for other verbs."""
        self._console.print(Text.assemble(("config   ", "bold"), str(config_file)))
        self._console.print(Text.assemble(("status   ", "bold"), f"{url}/status"))
        self._console.print(Text.assemble(("metrics  ", "bold"), f"{url}/metrics"))

    def detection(self, record: OutputRecord) -> None:
        """A detection that has arrived in Kafka."""
        fields = _fields(record)
        self._arrival(
            record,
            _cell(fields.get("name"), _NAME_CELLS, "bold"),
            _cell(_strongest_hash(fields), _HASH_CELLS),
            "  on ",
            _cell(fields.get("agentGuid"), _AGENT_CELLS, "cyan"),
        )

    def dead_letter(self, record: OutputRecord) -> None:
        """A payload that was no detection."""
        self._arrival(
            record,
            _cell(f"dead letter: {record.header('reason')}", _NAME_CELLS, "bold red"),
            "  ",
            _cell(record.header("detail"), _HASH_CELLS + _AGENT_CELLS + 3),
        )

    def ledger(self, ledger: Mapping[str, int]) -> None:
        """The balance of the daemon."""
        table = Table(title="Ledger", title_justify="left", show_header=False, box=None)
        table.add_column()
        table.add_column(justify="right")
        for name, words in _LEDGER_WORDS.items():
            style = "" if name != "imbalance" else "bold green" if ledger[name] == 0 else "bold red"
            table.add_row(words, str(ledger[name]), style=style)
        self._console.print(table)

    def _arrival(self, record: OutputRecord, *parts: str | Text) -> None:
        now = time.time()
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        place = f"  {record.topic}[{record.partition}]@{record.offset}"
        age = f"  {now * 1000 - record.timestamp_ms:.0f} ms"
        self._console.print(Text.assemble((f"{clock}  ", "dim"), *parts, (place, "dim"), (age, "green")))


def _fields(record: OutputRecord) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(record.value or b"{}")
    return fields


def _strongest_hash(fields: Mapping[str, Any]) -> str:
    hashes = fields.get("hashes", {})
    return next((f"  {kind} {hashes[kind]}" for kind in ("sha256", "sha1", "md5") if kind in hashes), "")


def _cell(text: str | None, cells: int, style: str = "") -> Text:
    cell = Text(neutral(text or "-"), style=style)
    cell.truncate(cells, overflow="ellipsis", pad=True)
    return cell
