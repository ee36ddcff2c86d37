"""What has come from the receiver and is not yet judged: new, or in Kafka already.

Owns: the held messages, and the order of the judgement: first whether Kafka has the event, then what is in it. Must
not: write anything; what it returns is accepted only when the spool has it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tie_forwarder.events.identity import event_id
from tie_forwarder.events.message import Message
from tie_forwarder.intake import Accepted, Filtered, Intake
from tie_forwarder.spool import Incoming, pack_id
from tie_forwarder.supervisor.accounts import Accounts
from tie_forwarder.supervisor.window import Arrival, Window


class Arrivals:
    """Messages in the order in which they came. One thread."""

    def __init__(self, *, intake: Intake, window: Window, accounts: Accounts) -> None:
        self._intake = intake
        self._window = window
        self._accounts = accounts
        self._held: list[Message] = []

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, messages: Sequence[Message]) -> None:
        """Keeps messages for `take`."""
        self._held += messages

    def take(self) -> list[Incoming]:
        """What is new among the held ones, decoded; the others and what is filtered are counted, and only that."""
        held, self._held = self._held, []
        found: list[Accepted] = []
        for message in held:
            name = event_id(message)
            arrival = self._window.arrive(pack_id(name))
            if arrival is not Arrival.NEW:
                self._accounts.on_known(arrival, self._intake.kind_of(message))
                continue
            accepted = self._intake.accept(message, name)
            if isinstance(accepted, Filtered):
                self._accounts.on_filtered(accepted)
                continue
            found.append(accepted)
        self._accounts.on_accepted(found)
        return [Incoming(accepted.record, accepted.detection_time) for accepted in found]
