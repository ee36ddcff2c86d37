"""Intake: every message that arrives becomes a record, that of its event or a dead letter with its bytes.

A valid event that a filter catches becomes nothing. Pure: no I/O, no threads, no metrics. What it returns is accepted
only when the spool has it.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tie_forwarder.events.decoding import decode
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.message import Message, event_id
from tie_forwarder.events.reasons import InvalidEventError, Reason
from tie_forwarder.filters import NO_FILTERS, Filter, FilterSet
from tie_forwarder.records.dead_letter import render_dead_letter
from tie_forwarder.records.event import KeyBy, render_event
from tie_forwarder.records.formats import FORMATS
from tie_forwarder.records.record import Record

UNKNOWN_KIND = "unknown"
"""The kind of a message on a topic of no enabled kind."""


class Accepted(NamedTuple):
    """What became of a message."""

    record: Record
    kind: str
    """The name of its event kind by its topic, also for a dead letter, or `unknown`."""
    reason: str | None
    """None for a valid event, else the reason code of the dead letter."""
    unknown_fields: int
    detection_time: int | None
    """When the event occurred, in seconds since the epoch, by a clock that may be wrong; None where it is not said."""


class Filtered(NamedTuple):
    """A valid event that is not forwarded."""

    kind: str
    by: Filter


class Intake:
    """Decodes, validates and renders. `accept` may be called on any thread."""

    def __init__(
        self,
        *,
        fabric: str,
        key_by: KeyBy,
        kinds: tuple[str, ...],
        formats: Mapping[str, str] = MappingProxyType({}),
        filters: FilterSet = NO_FILTERS,
    ) -> None:
        """`kinds` are the names of the enabled event kinds, `formats` those of their formats where it is not `json`.

        An unknown one is a `KeyError`.
        """
        self._fabric = fabric
        self._key_by = key_by
        self._kinds = {KINDS[name].topic: KINDS[name] for name in kinds}
        self._formats = {name: FORMATS[formats.get(name, "json")] for name in KINDS}
        self.filters = filters
        """What is not forwarded; others may take their place at any time."""

    def kind_of(self, message: Message) -> str:
        """The name of the message's event kind by its topic, or `unknown`."""
        kind = self._kinds.get(message.topic)
        return UNKNOWN_KIND if kind is None else kind.name

    def accept(self, message: Message, name: str | None = None) -> Accepted | Filtered:
        """The record of the message, or the filter that catches its event; what is no valid event is never filtered.

        `name` is the message's `event_id`, where it is known already. Never raises: what is no valid event becomes a
        dead letter with its bytes.
        """
        name = name or event_id(message)
        try:
            kind = self._kinds[message.topic]
        except KeyError:
            detail = "the message came on a topic of no enabled event kind"
            return _dead_letter(message, name, UNKNOWN_KIND, Reason.UNKNOWN_TOPIC, detail)
        try:
            event = decode(kind, message.payload)
            caught_by = self.filters.first_that_catches(event)
            if caught_by is not None:
                return Filtered(kind.name, caught_by)
            record = render_event(
                event,
                message,
                event_id=name,
                fabric=self._fabric,
                key_by=self._key_by,
                form=self._formats[kind.name],
            )
            return Accepted(record, kind.name, None, event.unknown_fields, event.time)
        except InvalidEventError as invalid:
            return _dead_letter(message, name, kind.name, invalid.reason, invalid.detail)
        except Exception as error:  # noqa: BLE001 - one message that we fail on must not stop the others; its bytes are kept
            return _dead_letter(message, name, kind.name, Reason.INTERNAL_ERROR, _whereabouts(error))


def _dead_letter(message: Message, name: str, kind: str, reason: Reason, detail: str) -> Accepted:
    record = render_dead_letter(message, event_id=name, reason=reason, detail=detail)
    return Accepted(record, kind, reason.value, 0, None)


def _whereabouts(error: Exception) -> str:
    """The class of an error and the function that raised it; its text may quote the payload."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}" if frames else type(error).__name__
