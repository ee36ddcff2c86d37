"""The spool: an SQLite file that holds every accepted record until Kafka is proven to have it.

The main process is its one writer (`Spool`); the publisher process reads beside it (`Reader`). What a commit has
accepted survives the death of every process; a power cut costs at most the commit interval.
"""

from tie_forwarder.records.record import Row
from tie_forwarder.spool.changes import Changes, Incoming, Outcome, Settled, merged
from tie_forwarder.spool.reader import Page, Reader
from tie_forwarder.spool.recovery import Recovery
from tie_forwarder.spool.row import CorruptRow, pack_id, unpack_id
from tie_forwarder.spool.store import Spool

__all__ = [
    "Changes",
    "CorruptRow",
    "Incoming",
    "Outcome",
    "Page",
    "Reader",
    "Recovery",
    "Row",
    "Settled",
    "Spool",
    "merged",
    "pack_id",
    "unpack_id",
]
