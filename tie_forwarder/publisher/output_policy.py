"""What the output topics' configuration makes of the promise: a compacted topic forgets events.

Owns: one question to Kafka after the start, on a thread of its own. Must not: hold up or end anything: a user who may
not see the configuration is told nothing, and where Kafka does not tell it, nothing is concluded from that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from tie_forwarder.children.log import log

_TIMEOUT_MS = 3_000
_AFTER_SECONDS = 3.0
COMPACTED_REMEDY = "set cleanup.policy=delete on the topic: a key's newer record would take the place of its older ones"


class OutputPolicy:
    """Looks at `cleanup.policy` once; the start of the delivery is not held up by it."""

    def __init__(
        self, *, connection: dict[str, Any], topics: Sequence[str], on_compacted: Callable[[list[str], str], None]
    ) -> None:
        self._connection = connection
        self._topics = list(topics)
        self._on_compacted = on_compacted

    def look_soon(self) -> None:
        """Asks in a few seconds, when the first events are on their way. Never blocks, never raises."""
        timer = threading.Timer(_AFTER_SECONDS, self._look)
        timer.daemon = True
        timer.start()

    def _look(self) -> None:
        with suppress(Exception):  # a question that cannot be answered is asked again by the next process
            policies = self._policies()
            compacted = [topic for topic, policy in policies.items() if "compact" in policy]
            for topic in compacted:
                log(logging.WARNING, "publisher.output.compacted", topic=topic, remedy=COMPACTED_REMEDY)
            if compacted or all(policies.values()):
                self._on_compacted(compacted, COMPACTED_REMEDY)

    def _policies(self) -> dict[str, str]:
        """The clean-up policy by topic; empty where Kafka does not tell it."""
        admin = KafkaAdminClient(**self._connection, bootstrap_timeout_ms=_TIMEOUT_MS, request_timeout_ms=_TIMEOUT_MS)
        try:
            resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in self._topics]
            answer = admin.describe_configs(resources, config_filter="all").get("topic", {})
        finally:
            admin.close()
        return {topic: str(answer.get(topic, {}).get("cleanup.policy", {}).get("value", "")) for topic in self._topics}
