"""The output topics of one test.

Owns: their names, which no other test uses, so that tests can share a Kafka.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tests.harness.kafka.administration import Administration


@dataclass(frozen=True)
class Topics:
    """One topic for each kind of event, and one for dead letters."""

    detection: str
    first_instance: str
    file_reputation_change: str
    certificate_reputation_change: str
    dead_letter: str

    @classmethod
    def unique(cls, prefix: str = "test") -> Topics:
        """Names that exist nowhere else."""
        mark = f"{prefix}-{uuid.uuid4().hex[:8]}"
        return cls(**{field.name: f"{mark}.{field.name.replace('_', '-')}" for field in fields(cls)})

    def configuration(self) -> dict[str, str]:
        """What stands under `kafka.topics` in config.yaml."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def create(
        self, administration: Administration, *, partitions: int = 3, configs: Mapping[str, object] | None = None
    ) -> Topics:
        """Create all of them; blocks until each partition has a leader. Dead letters have one partition."""
        for kind, name in self.configuration().items():
            count = 1 if kind == "dead_letter" else partitions
            administration.create_topic(name, partitions=count, configs=configs)
        return self
