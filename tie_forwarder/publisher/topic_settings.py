"""How the output topics are configured, as far as the publisher has to know it: what Kafka forgets, and what it takes.

Owns: the questions to Kafka about it. Must not: hold up or end anything. Where Kafka does not tell a setting, as to a
user without the right DescribeConfigs, nothing is concluded from that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

_TIMEOUT_MS = 3_000
_FRESH_SECONDS = 30.0
_NAMES = ("cleanup.policy", "max.message.bytes", "compression.type", "min.insync.replicas")
COMPACTED_REMEDY = "set cleanup.policy=delete on the topic: a key's newer record would take the place of its older ones"


class TopicSettings:
    """The settings of the topics, as last read. Thread-safe."""

    def __init__(
        self,
        *,
        connection: dict[str, Any],
        topics: Sequence[str],
        on_compacted: Callable[[list[str]], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_compacted` is called with the compacted topics when they are first known and when they change."""
        self._connection = connection
        self._topics = list(topics)
        self._on_compacted = on_compacted
        self._monotonic = monotonic
        self._settings: dict[str, dict[str, str]] = {}
        self._compacted: list[str] | None = None
        self._asked_at = float("-inf")
        self._asking: threading.Thread | None = None

    @property
    def known(self) -> bool:
        """Whether Kafka has told any setting."""
        return bool(self._settings)

    def of(self, topic: str) -> dict[str, str]:
        """The settings of the topic by name; empty while they are not known."""
        return self._settings.get(topic, {})

    def most_bytes(self, topic: str) -> int | None:
        """The largest batch of records that the topic takes; None while that is not known."""
        found = self.of(topic).get("max.message.bytes")
        return None if found is None else int(found)

    def read(self, admin: Any) -> None:
        """Asks over this client, and blocks for the answer up to the client's time-out. Never raises."""
        self._asked_at = self._monotonic()
        with suppress(Exception):  # what is known stays; the next question may be answered
            resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(_NAMES)) for name in self._topics]
            answer = admin.describe_configs(resources, config_filter="all").get("topic", {})
            self._settings = {
                topic: {name: str(found["value"]) for name, found in configuration.items()}
                for topic, configuration in answer.items()
            }
            self._tell_compacted()

    def refresh(self, *, wait_seconds: float, even_if_fresh: bool = False) -> None:
        """Asks again with a client of its own, unless the last question is less than half a minute old.

        Waits for the answer so long at most; one that comes later counts, too.
        """
        if self._asking is None or not self._asking.is_alive():
            if self._monotonic() - self._asked_at < _FRESH_SECONDS and not even_if_fresh:
                return
            self._asked_at = self._monotonic()
            self._asking = threading.Thread(target=self._ask, name="topic-settings", daemon=True)
            self._asking.start()
        self._asking.join(wait_seconds)

    def _ask(self) -> None:
        with suppress(Exception):  # as above
            admin = KafkaAdminClient(
                **self._connection, bootstrap_timeout_ms=_TIMEOUT_MS, request_timeout_ms=_TIMEOUT_MS
            )
            try:
                self.read(admin)
            finally:
                admin.close()

    def _tell_compacted(self) -> None:
        policies = {topic: self.of(topic).get("cleanup.policy", "") for topic in self._topics}
        compacted = [topic for topic, policy in policies.items() if "compact" in policy]
        if compacted != self._compacted and (compacted or all(policies.values())):
            self._compacted = compacted
            self._on_compacted(compacted)
