"""The `spool` section: where accepted events wait for Kafka, and what happens when there is no more room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ByteSize, Field

from tie_forwarder.config.component import Component, Location

WhenFull = Literal["drop_oldest", "drop_newest"]


class Spool(Component):
    """The file between the fabric and Kafka."""

    directory: Location = Path("spool")
    max_bytes: Annotated[ByteSize, Field(ge=1024**2)] = ByteSize(4 * 1024**3)
    when_full: WhenFull = "drop_oldest"
    commit_interval_ms: Annotated[int, Field(ge=0, le=1000)] = 10
