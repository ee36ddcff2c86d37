"""`tie-forwarder simulate`: publishes events to a fabric, synthetic or from files, at a steady rate."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tie_forwarder.cli import Count, FiniteRange, config_options
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.message import TOPICS

if TYPE_CHECKING:
    from tie_forwarder.demo.events import Synthetic
    from tie_forwarder.interruption import Interruption
    from tie_forwarder.receiver.short_lived import FabricConnection


@click.command
@config_options
@click.option(
    "--dxl-config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The dxlclient.config of the fabric, instead of the configured one.",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(list(TOPICS)),
    multiple=True,
    help="The kind of event. May be repeated: they come in turn.  [default: detection]",
)
@click.option("--rate", type=FiniteRange(min=0, min_open=True), default=5, show_default=True, help="Payloads a second.")
@click.option("--count", type=Count(), help="End after so many.  [default: at Ctrl-C; each file once]")
@click.option(
    "--file",
    "files",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="PATH",
    help="Publish this file as it is, or each file of this folder. May be repeated.",
)
@click.option(
    "--invalid",
    type=FiniteRange(0, 100),
    default=0,
    metavar="PERCENT",
    help="So many of the synthetic payloads are broken, to see dead letters.",
)
@click.option("--seed", type=int, help="The same seed makes the same endpoints and files.")
def simulate(
    config: Path | None,
    overrides: Mapping[str, str],
    dxl_config: Path | None,
    kinds: Sequence[str],
    rate: float,
    count: int | None,
    files: Sequence[Path],
    invalid: float,
    seed: int | None,
) -> None:
    """Publish events to a fabric.

    They are synthetic, or the payloads of files; --kind says on which topic files are published.

    The client needs the right to publish TIE events, which on a real fabric only TIE servers should have.
    """
    if files and (invalid or seed is not None):
        raise click.UsageError("--invalid and --seed are for synthetic events, not for --file")
    if files and len(kinds) > 1:
        raise click.UsageError("--file goes with one --kind, which says on which topic the payloads are published")
    from tie_forwarder.config import load
    from tie_forwarder.demo.events import events
    from tie_forwarder.interruption import Interruption
    from tie_forwarder.receiver.short_lived import connected_client

    chosen = kinds or ("detection",)
    payloads: Iterable[Synthetic] = events(chosen, seed=seed, invalid_percent=invalid)
    if files:
        recorded = _recorded(files, chosen[0])
        payloads = recorded if count is None else cycle(recorded)
    where = dxl_config or load(config, overrides=overrides).dxl.config_file
    with Interruption() as interruption, connected_client(where) as fabric:
        published, seconds = _publish(islice(payloads, count), fabric, interruption, rate)
    click.echo(f"published {published} payloads in {seconds:.1f} s ({published / max(seconds, 1e-3):.1f}/s)")


def _recorded(paths: Sequence[Path], kind: str) -> list[Synthetic]:
    from tie_forwarder.demo.events import Synthetic

    files: list[Path] = []
    for path in paths:
        found = sorted(inner for inner in path.iterdir() if inner.is_file()) if path.is_dir() else [path]
        if not found:
            raise ForwarderError(f"--file {path}: the folder holds no files", remedy="give one that does")
        files += found
    try:
        return [Synthetic(kind, file.read_bytes()) for file in files]
    except OSError as error:
        remedy = "make it readable for this user"
        raise ForwarderError(f"--file {error.filename}: {error.strerror}", remedy=remedy) from error


def _publish(
    payloads: Iterable[Synthetic], fabric: FabricConnection, interruption: Interruption, rate: float
) -> tuple[int, float]:
    """Publishes until the payloads end or the user interrupts; how many, and in how many seconds."""
    from rich.console import Console

    from tie_forwarder.demo.events import Pace

    console = Console(stderr=True, highlight=False)
    published = 0
    started = time.monotonic()
    pace = Pace(rate=rate)
    with console.status("connected") if console.is_terminal else _Silence() as progress:
        for kind, payload in payloads:
            if interruption.wait(pace.next_wait_seconds()):
                break
            fabric.publish(TOPICS[kind], payload)
            published += 1
            progress.update(f"published {published}, the last to {TOPICS[kind]}; Ctrl-C ends")
    return published, time.monotonic() - started


class _Silence:
    """Progress where nobody watches."""

    def __enter__(self) -> _Silence:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, _text: str) -> None:
        pass
