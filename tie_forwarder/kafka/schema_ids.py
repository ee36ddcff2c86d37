"""The ids that a schema registry has for the schemas of the records, from the start of the publisher to its end.

They are asked for once, on a thread of its own, so that a member stands by although the registry is away; what is to
publish waits for them. Once they are known the registry is not needed again: an id never changes its schema.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tie_forwarder.backoff import Backoff
from tie_forwarder.group.commands import Leaving
from tie_forwarder.kafka.errors import ErrorClass, PublisherError, Verdict
from tie_forwarder.kafka.producer import Prefixes, SchemaOf
from tie_forwarder.kafka.registry import Ids, ask_registry

_PATIENCE_SECONDS = 10.0
"""Then this life of the member ends, and the next one looks anew at who publishes."""
_SLICE_SECONDS = 0.1
_REFUSED_SECONDS = 30.0
"""Then a process that stands by makes room for a new one, which may have a new password."""

Ask = Callable[[Mapping[str, Any], Mapping[str, str]], "Ids | Verdict"]


def _register(registry: Mapping[str, Any], schemas: Mapping[str, str]) -> Ids | Verdict:
    return ask_registry("register", registry, schemas)


class SchemaIds:
    """Knows what comes before the values of each destination. Thread-safe."""

    def __init__(
        self,
        *,
        registry: Mapping[str, Any] | None,
        topics: Mapping[str, str],
        stop: threading.Event,
        ask: Ask = _register,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`registry` has url, username, password, ca_file, and by destination `schemas` and `forms`; or is None."""
        self._registry = registry
        self._topics = topics
        self._stop = stop
        self._ask = ask
        self._monotonic = monotonic
        self._started_at = monotonic()
        self._known = threading.Event()
        self._prefixes = Prefixes()
        self._trouble: Verdict | None = None
        if registry is None:
            self._known.set()

    @property
    def trouble(self) -> Verdict | None:
        """Why the ids are not known; None while they are, or before the first answer."""
        return None if self._known.is_set() else self._trouble

    def check(self) -> None:
        """Raises PublisherError when the registry has been refusing for half a minute. For who does not `wait`."""
        trouble = self.trouble
        refused = trouble is not None and trouble.error_class is ErrorClass.BLOCKED
        if trouble is not None and refused and self._monotonic() - self._started_at > _REFUSED_SECONDS:
            raise PublisherError(trouble)

    def start(self) -> None:
        """Begins to ask, and asks again until there is an answer."""
        if not self._known.is_set():
            threading.Thread(target=self._find_out, name="schema-ids", daemon=True).start()

    def wait(self) -> Prefixes:
        """What comes before the values. Blocks for ten seconds at most.

        Raises PublisherError where the registry refuses, or does not answer in time, and Leaving on `stop`.
        """
        give_up_at = self._monotonic() + _PATIENCE_SECONDS
        while not self._known.wait(_SLICE_SECONDS):
            if self._stop.is_set():
                raise Leaving
            trouble = self._trouble
            if trouble is None:
                continue
            if trouble.error_class is ErrorClass.BLOCKED or self._monotonic() > give_up_at:
                raise PublisherError(trouble)
        return self._prefixes

    def _find_out(self) -> None:
        assert self._registry is not None
        backoff = Backoff(first_seconds=0.5, most_seconds=5.0)
        while not self._stop.is_set():
            found = find_prefixes(self._registry, self._topics, ask=self._ask)
            if not isinstance(found, Verdict):
                self._prefixes = found
                self._known.set()
                return
            self._trouble = found
            self._stop.wait(backoff.next_seconds())


def find_prefixes(
    registry: Mapping[str, Any], topics: Mapping[str, str], *, ask: Ask = _register
) -> Prefixes | Verdict:
    """What comes before the values, the schemas registered where they were not. Blocks for seconds."""
    answer = ask(registry, schemas_by_subject(registry, topics))
    if isinstance(answer, Verdict):
        return answer
    found = {destination: answer[_subject(topics[destination])] for destination in registry["schemas"]}
    return Prefixes(
        {name: SchemaOf(number, registry["forms"][name]) for name, number in found.items() if number is not None}
    )


def schemas_by_subject(registry: Mapping[str, Any], topics: Mapping[str, str]) -> dict[str, str]:
    """The schemas by the name that the registry has for each topic's values (TopicNameStrategy)."""
    return {_subject(topics[destination]): text for destination, text in registry["schemas"].items()}


def _subject(topic: str) -> str:
    return f"{topic}-value"
