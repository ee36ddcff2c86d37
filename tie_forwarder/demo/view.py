"""How the demo looks: the configuration, a line for each record, the ledger.

Owns: what is printed, and that nothing from a payload reaches the terminal raw. Colours only on a terminal.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tie_forwarder.kafka_queries import OutputRecord

_NAME_CHARACTERS = 26
_HASH_CHARACTERS = 12
_LEDGER_WORDS = {
    "in_spool_at_start": "in the spool at start",
    "received": "+ received from the fabric",
    "published": "- published to Kafka",
    "settled": "- found in Kafka already",
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

    def addresses(self, url: str) -> None:
        """Where the daemon can be asked."""
        self._console.print(Text.assemble(("status   ", "bold"), f"{url}/status"))
        self._console.print(Text.assemble(("metrics  ", "bold"), f"{url}/metrics"))

    def detection(self, record: OutputRecord) -> None:
        """A detection that has arrived in Kafka."""
        fields = _fields(record)
        self._arrival(
            record,
            (f"{_shortened(fields.get('name'), _NAME_CHARACTERS):<{_NAME_CHARACTERS}}", "bold"),
            f"  {_strongest_hash(fields):<{_HASH_CHARACTERS + 8}}",
            (f"  on {_shortened(fields.get('agentGuid'), 10)}", "cyan"),
        )

    def dead_letter(self, record: OutputRecord) -> None:
        """A payload that was no detection."""
        self._arrival(
            record,
            ("dead letter: ", "bold red"),
            (f"{_printable(record.header('reason'))}  ", "red"),
            f"{_shortened(record.header('detail'), 60)}",
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

    def _arrival(self, record: OutputRecord, *parts: str | tuple[str, str]) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(record.timestamp_ms / 1000))
        place = f"  {record.topic}[{record.partition}]@{record.offset}"
        self._console.print(Text.assemble((f"{clock}  ", "dim"), *parts, (place, "dim")))


def _fields(record: OutputRecord) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(record.value or b"{}")
    return fields


def _strongest_hash(fields: Mapping[str, Any]) -> str:
    hashes = fields.get("hashes", {})
    return next((f"{kind} {hashes[kind][:_HASH_CHARACTERS]}" for kind in ("sha256", "sha1", "md5") if kind in hashes), "")


def _shortened(text: str | None, most: int) -> str:
    printable = _printable(text or "-")
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
