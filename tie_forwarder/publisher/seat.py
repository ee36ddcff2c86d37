"""The seat of the publishing member: left vacant in an orderly way, so that a standby need not wait.

No topic and no further service is needed: Kafka's transaction coordinator keeps, with every transactional id, the
time-out that its last initialisation asked for. Whoever leaves initialises once more with an odd time-out that nobody
uses otherwise; whoever takes over initialises with the usual one. It is a hint only: safety rests on fencing alone, and
a false hint makes a member take over early, nothing more.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError, TransactionalIdNotFoundError

from tie_forwarder.publisher.deadline import Deadline
from tie_forwarder.publisher.settings import PRODUCER, VACANT_TIMEOUT_MS

_TIMEOUT_MS = 3_000
_VACATE_SECONDS = 20.0


class Seat:
    """The group's seat as Kafka's coordinator knows it. Any call may block for some seconds; none raises."""

    def __init__(self, *, connection: dict[str, Any], group: str, deadline: Deadline) -> None:
        self._connection = connection
        self._group = group
        self._deadline = deadline
        self._admin: Any = None

    def is_vacant(self) -> bool:
        """Whether the last member that published has left in an orderly way, or none ever has; false when unknown."""
        try:
            if self._admin is None:
                self._admin = KafkaAdminClient(
                    **self._connection, bootstrap_timeout_ms=_TIMEOUT_MS, request_timeout_ms=_TIMEOUT_MS
                )
            described = self._admin.describe_transactions([self._group])
        except TransactionalIdNotFoundError:
            return True
        except (KafkaError, OSError, ValueError):
            self._forget()
            return False
        return bool(described[self._group].transaction_timeout_ms == VACANT_TIMEOUT_MS)

    def vacate(self) -> bool:
        """Leaves the seat; only for the member that holds it, with nothing in flight. False when Kafka refuses.

        Like every initialisation it fences whoever publishes, and ends a transaction that a crash left open.
        """
        settings = {**PRODUCER, **self._connection, "max_block_ms": _TIMEOUT_MS}
        producer = None
        try:
            with self._deadline.within(_VACATE_SECONDS, "leaving the seat"):
                producer = KafkaProducer(
                    **settings, transactional_id=self._group, transaction_timeout_ms=VACANT_TIMEOUT_MS
                )
                producer.init_transactions()
        except (KafkaError, OSError, ValueError):
            return False
        finally:
            if producer is not None:
                with suppress(Exception):
                    producer.close(timeout=1)
        return True

    def _forget(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(Exception):
                admin.close()
