"""What a member asks of the world, and what the world answers: the seam between the rules and their edges.

The rules (`member`) yield commands and are sent answers, or have an exception thrown into them; they do nothing else.
So the same rules run against Kafka (`exactly_once`) and against a model of it, by the thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class Role(StrEnum):
    """What a member does."""

    STANDBY = "standby"
    TAKING_OVER = "taking_over"
    PUBLISHING = "publishing"


class Reason(StrEnum):
    """Why a member takes over; also the label of a metric."""

    STARTED = "started"
    """It has just started, and the newest record of the output is its own, or there is none."""
    RESUMED = "resumed"
    """It had published until an error, and nobody else has published since."""
    PASSED_BY = "passed_by"
    """The publishing member is past an event that only this one has: that member was deaf."""
    SILENT = "silent"
    """Events wait and the output makes no progress."""
    VACANT = "vacant"
    """Events wait and the publishing member has left in an orderly way."""
    RENEWED = "renewed"
    """It goes on after a record that Kafka refused, with a new producer."""


class Seen(NamedTuple):
    """A record of our kind in the output: who published it, and when its event was received."""

    forwarder: str
    received_at_ms: int | None
    """By the clock of the member that published it, from the headers; None where they do not say."""


class Oldest(NamedTuple):
    """The oldest row of the spool."""

    position: int
    received_at_ms: int
    """By the clock of this machine as it was then, which may have been wrong."""


class Gap(NamedTuple):
    """A time in which this member could not receive while another member could: that one may have events to itself."""

    number: int = 0
    """Counts the gaps of this main process; 0 while there was none."""
    is_open: bool = False
    """Whether this member cannot receive now."""


NO_GAP = Gap()


@dataclass(frozen=True)
class SeekTail:
    """Puts the tail where this member's memory says, or by time where it has none. Answer: None."""


@dataclass(frozen=True)
class ReadTail:
    """Reads committed records, waiting a little for some; their ids go to the window and out of the spool, in order.

    Answer: `list[Seen]`.
    """


@dataclass(frozen=True)
class MarkEnd:
    """Notes the end of the output as it is now: up to the last stable offset, or up to the high watermark.

    Partitions that have been added since are noted too. Answer: None.
    """

    high_watermark: bool


@dataclass(frozen=True)
class ReachedMark:
    """Whether the tail has read up to the mark. Answer: bool."""


@dataclass(frozen=True)
class PeekBeyond:
    """Looks for records of our kind that stand above the last stable offset and were not there at the last look.

    Answer: bool.
    """


@dataclass(frozen=True)
class Barrier:
    """Waits until the main process has applied everything that was reported. Answer: None."""


@dataclass(frozen=True)
class OldestEvent:
    """The oldest row of the spool. Answer: `Oldest | None`."""


@dataclass(frozen=True)
class SeatIsVacant:
    """Whether the publishing member has left in an orderly way. Answer: bool."""


@dataclass(frozen=True)
class AskGap:
    """The last gap in this member's own receiving. Answer: `Gap`."""


@dataclass(frozen=True)
class LeaveSeat:
    """Leaves the group's seat vacant, unless it is already, so that a standby need not wait. Answer: None."""


@dataclass(frozen=True)
class OpenProducer:
    """A new producer with the group's transactional id; its initialisation fences every other. Answer: None."""


@dataclass(frozen=True)
class CommitHanging:
    """Commits an empty transaction over the partitions whose last stable offset is held back. Answer: None.

    It ends what hangs there by the group's own id, and is nothing to anybody else's transaction.
    """


@dataclass(frozen=True)
class DropProducer:
    """Ends the producer after a record was refused, or because another member publishes. Answer: None."""


@dataclass(frozen=True)
class PublishBatch:
    """One transaction with at most `limit` rows, in order; waits a little for some. Answer: a `BatchResult`."""

    limit: int


@dataclass(frozen=True)
class Show:
    """Tells what the member is now. Answer: None."""

    role: Role
    reason: Reason | None = None


Command: TypeAlias = (
    "SeekTail | ReadTail | MarkEnd | ReachedMark | PeekBeyond | Barrier | OldestEvent | SeatIsVacant | AskGap"
    " | LeaveSeat | OpenProducer | CommitHanging | DropProducer | PublishBatch | Show"
)


class Idle(NamedTuple):
    """There was nothing to publish."""

    outstanding: bool = False
    """Whether something that was committed has not yet been visible to readers."""


class Hidden(NamedTuple):
    """What was committed some time ago is still hidden from readers; nothing further was published."""


class Committed(NamedTuple):
    """The transaction is committed; its rows are reported as published once readers can see them."""

    rows: int


class Suspected(NamedTuple):
    """Kafka refused the batch for one of its records, and nothing of it was committed."""

    before: int
    """How many rows of the batch stand before the first that failed; that one may be innocent all the same."""


class RefusedAlone(NamedTuple):
    """Kafka refused a record that was alone in its transaction; it is reported and becomes a dead letter."""


BatchResult: TypeAlias = "Idle | Hidden | Committed | Suspected | RefusedAlone"


class Fenced(Exception):  # noqa: N818 - what happened to us, in Kafka's own word
    """Another member has taken over."""


class Leaving(Exception):  # noqa: N818 - a wish, not an error
    """The process is to stop."""
