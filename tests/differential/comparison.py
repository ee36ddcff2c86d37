"""The judgement of one payload after the other, and the counts of what became of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from tests.data.payloads import as_dxltieclient
from tests.differential.variations import Variation
from tie_forwarder.events.decoding import decode
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.reasons import InvalidEventError

_DIGITS = re.compile(r"-?[0-9]{1,19}")
_REPUTATION_INTEGERS = ("providerId", "trustLevel", "createDate")


class DifferenceError(AssertionError):
    """We and dxltieclient disagree, or we refuse what is harmless."""


class Comparison:
    """Compares payloads of one kind."""

    def __init__(self, kind: str) -> None:
        self._name = kind
        self._kind = KINDS[kind]
        self.equal = 0
        self.dead_letters: Counter[str] = Counter()
        """Our dead letters by reason."""
        self.lost_by_dxltieclient = 0
        """Those of our dead letters on which dxltieclient raises: its user would never have seen them."""

    @property
    def payloads(self) -> int:
        """How many have been judged."""
        return self.equal + self.dead_letters.total()

    def judge(self, variation: Variation) -> None:
        """Raises `DifferenceError`, with the payload, where there is one."""
        payload = variation.payload
        try:
            event = decode(self._kind, payload)
        except InvalidEventError as refused:
            if variation.harmless:
                raise DifferenceError(f"a harmless payload is refused: {refused}: {payload!r}") from None
            self.dead_letters[refused.reason.value] += 1
            self.lost_by_dxltieclient += _is_lost(payload, self._name)
            return
        try:
            theirs = _with_integers(as_dxltieclient(payload, self._name), self._name)
        except Exception as error:
            raise DifferenceError(f"dxltieclient raises {error!r}, and we deliver: {payload!r}") from error
        if repr(event.fields) != repr(theirs):
            raise DifferenceError(f"ours {event.fields!r}, theirs {theirs!r}: {payload!r}")
        value = self._kind.adapter.serializer.to_json(event.model, exclude_unset=True)
        if _sorted(json.loads(value)) != _sorted(json.loads(json.dumps(theirs))):
            raise DifferenceError(f"the record says {value!r}, dxltieclient {theirs!r}: {payload!r}")
        self.equal += 1


def _is_lost(payload: bytes, kind: str) -> bool:
    try:
        as_dxltieclient(payload, kind)
    except Exception:  # noqa: BLE001 - whatever it raises, its thread pool would swallow it
        return True
    return False


def _sorted(fields: Any) -> str:
    """Tells 1, 1.0, true and "1" apart, but not two orders of keys."""
    return json.dumps(fields, sort_keys=True)


def _with_integers(fields: Any, kind: str) -> Any:
    """What dxltieclient delivers, with strings of digits in known integer fields as integers: our one difference."""
    own = {
        "detection": ("detectionTime", "localReputation", "remediationAction"),
        "file_reputation_change": ("updateTime",),
        "certificate_reputation_change": ("updateTime",),
    }
    if type(fields) is not dict:
        return fields
    _read_digits(fields, own.get(kind, ()))
    if kind.endswith("reputation_change"):
        for name in ("newReputations", "oldReputations"):
            if name in fields:
                fields[name] = _reputations_with_integers(fields[name])
    return fields


def _reputations_with_integers(reputations: Any) -> Any:
    if type(reputations) is not dict:
        return reputations
    found = {}
    for provider, reputation in reputations.items():
        if type(reputation) is dict:
            _read_digits(reputation, _REPUTATION_INTEGERS)
            if type(reputation.get("overridden")) is dict:
                _read_digits(reputation["overridden"], ("truncated",))
            provider = reputation.get("providerId", provider)
        found[provider] = reputation
    return found


def _read_digits(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if type(fields.get(name)) is str and _DIGITS.fullmatch(fields[name]):
            fields[name] = int(fields[name])
