"""`tie-forwarder demo`: everything on this machine, with servers that live as long as it does."""

from __future__ import annotations

from pathlib import Path

import click

from tie_forwarder.cli import FiniteRange


@click.command
@click.option("--seconds", type=FiniteRange(min=1), help="End by itself after this time.  [default: at Ctrl-C]")
@click.option(
    "--rate", type=FiniteRange(min=0, min_open=True), default=3, show_default=True, help="Detections a second."
)
@click.option("--kafka", metavar="HOST:PORT", help="A Kafka of your own instead of the embedded one.")
@click.option(
    "--dxl-config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="The dxlclient.config of a fabric of your own instead of the embedded one.",
)
def demo(seconds: float | None, rate: float, kafka: str | None, dxl_config: Path | None) -> int:
    """Run everything on this machine, with embedded servers.

    Starts a fabric and a Kafka, the real daemon between them and a simulation, and shows what arrives in Kafka. Ends at
    Ctrl-C, and leaves nothing behind.
    """
    from tie_forwarder.demo.session import DemoOptions, DemoSession
    from tie_forwarder.demo.view import DemoView
    from tie_forwarder.interruption import Interruption

    options = DemoOptions(rate=rate, seconds=seconds, kafka=kafka, dxl_config=dxl_config)
    with Interruption() as interruption:
        balanced = DemoSession(options=options, view=DemoView(), interruption=interruption).run()
    return 0 if balanced else 1
