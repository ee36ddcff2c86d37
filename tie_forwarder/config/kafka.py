"""The `kafka` section: the cluster, the topics, and how records are made and delivered.

Options of the producer are passed through to kafka-python; those that would break the guarantee are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from tie_forwarder.config.address import parse_address
from tie_forwarder.config.component import Component, Items, Refusal, contradiction, refusal
from tie_forwarder.config.schema_registry import SchemaRegistry
from tie_forwarder.config.security import Security

Delivery = Literal["exactly_once", "at_least_once"]
KeyChoice = Literal["agent_guid", "sha256", "event_id", "none"]

_WITHOUT_SCHEMA = frozenset({"raw"})
_LEGAL_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def _address(text: str) -> str:
    return str(parse_address(text.strip()))


def _topic(name: str) -> str:
    if not _LEGAL_TOPIC.fullmatch(name) or name in {".", ".."}:
        raise refusal("is no legal topic name", remedy="use 1 to 249 letters, digits, dots, underscores and hyphens")
    return name


Server = Annotated[str, AfterValidator(_address)]
Topic = Annotated[str, AfterValidator(_topic)]


class Topics(Component):
    """The topic for each destination of a record: the kinds of event, and the dead letters."""

    detection: Topic = "tie.file.detections"
    first_instance: Topic = "tie.file.first-instances"
    file_reputation_change: Topic = "tie.file.reputation-changes"
    certificate_reputation_change: Topic = "tie.certificate.reputation-changes"
    dead_letter: Topic = "tie.dead-letters"

    def name_of(self, destination: str) -> str:
        """The topic of a destination; raises KeyError when there is no such destination."""
        return self.by_destination()[destination]

    def by_destination(self) -> dict[str, str]:
        """Every destination with its topic."""
        return {destination: getattr(self, destination) for destination in type(self).model_fields}

    @model_validator(mode="after")
    def _dead_letters_stand_apart(self) -> Topics:
        kinds = [kind for kind, topic in self.by_destination().items() if topic == self.dead_letter]
        kinds.remove("dead_letter")
        if kinds:
            message = f"is also the topic of {' and '.join(kinds)}"
            raise contradiction([Refusal("dead_letter", message, "give the dead letters a topic of their own")])
        return self


class Kafka(Component):
    """Where the records go."""

    bootstrap_servers: Annotated[tuple[Server, ...], Items, Field(min_length=1)] = ("localhost:9092",)
    delivery: Delivery = "exactly_once"
    topics: Topics = Field(default_factory=Topics)
    key: KeyChoice = "agent_guid"
    format: Literal["json"] = "json"
    schema_registry: SchemaRegistry = Field(default_factory=SchemaRegistry)
    security: Security = Field(default_factory=Security)
    producer: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("producer", mode="before")
    @classmethod
    def _no_options(cls, options: Any) -> Any:
        return {} if options is None else options

    @field_validator("producer")
    @classmethod
    def _options_that_keep_the_guarantee(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if not options:
            return options
        # Only now, because it loads kafka-python, which most installations can do without in this process.
        from tie_forwarder.publisher.options import refused_producer_options

        refused = refused_producer_options(options)
        if refused:
            raise contradiction([Refusal(name, message, remedy) for name, (message, remedy) in refused.items()])
        return options

    @model_validator(mode="after")
    def _schema_registry_has_a_schema_for_each_topic(self) -> Kafka:
        if self.schema_registry.url is not None:
            refused = [
                Refusal("schema_registry.url", message, remedy, self.schema_registry.url)
                for message, remedy in self._without_schema()
            ]
            if refused:
                raise contradiction(refused)
        return self

    def _without_schema(self) -> Iterator[tuple[str, str]]:
        """Why a topic would have no schema, or more than one, and what to do."""
        if self.format in _WITHOUT_SCHEMA:
            yield f"cannot be used with the format {self.format}, which has no schema", "choose another kafka.format"
        by_topic: dict[str, list[str]] = {}
        for destination, topic in self.topics.by_destination().items():
            by_topic.setdefault(topic, []).append(destination)
        for topic, kinds in by_topic.items():
            if len(kinds) > 1:
                message = f"cannot be used where {' and '.join(kinds)} share the topic {topic}: a topic has one schema"
                yield message, "give each kind a topic of its own, or remove the url"
