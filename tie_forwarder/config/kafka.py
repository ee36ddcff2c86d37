"""The `kafka` section: the cluster, the topics, and how records are made and delivered.

Options of the producer are passed through to kafka-python; those that would break the guarantee are refused.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from tie_forwarder.config.address import parse_address
from tie_forwarder.config.component import Component, Items, Refusal, contradiction, refusal
from tie_forwarder.config.schema_registry import SchemaRegistry
from tie_forwarder.config.security import Security

Delivery = Literal["exactly_once", "at_least_once"]
KeyChoice = Literal["agent_guid", "sha256", "event_id", "none"]
FormatName = Literal["json", "cloudevents", "ecs", "ocsf", "raw"]

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


def one_format(name: object) -> object:
    """A format for all kinds, as the section that it stands for; what is no text as it is."""
    return dict.fromkeys(Formats.model_fields, name) if isinstance(name, str) else name


def _known_format(name: object) -> object:
    """The same; a name that is none is told once, and not once for each kind."""
    known = get_args(FormatName)
    if isinstance(name, str) and name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {near[0]}?" if near else "give one format, or one for each kind"
        raise refusal(f"must be one of {', '.join(known)}", remedy=remedy)
    return one_format(name)


class Formats(Component):
    """The format of each kind's records."""

    detection: FormatName = "json"
    first_instance: FormatName = "json"
    file_reputation_change: FormatName = "json"
    certificate_reputation_change: FormatName = "json"

    def by_kind(self) -> dict[str, str]:
        """Every kind with the name of its format."""
        return {kind: getattr(self, kind) for kind in type(self).model_fields}


def _is_plain(value: object, *, levels: int = 3) -> bool:
    """Whether the publisher can be told the value: what JSON has, and of a size that the producer may know."""
    if isinstance(value, list):
        return levels > 0 and all(_is_plain(item, levels=levels - 1) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**63)


_NOT_PLAIN = ("has a value that no option of the producer takes", "give a number, a text, or true or false")


class Kafka(Component):
    """Where the records go."""

    bootstrap_servers: Annotated[tuple[Server, ...], Items, Field(min_length=1)] = ("localhost:9092",)
    delivery: Delivery = "exactly_once"
    topics: Topics = Field(default_factory=Topics)
    key: KeyChoice = "agent_guid"
    format: Annotated[Formats, BeforeValidator(_known_format)] = Field(default_factory=Formats)
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

        plain = {name: value for name, value in options.items() if _is_plain(value)}
        refused = {name: _NOT_PLAIN for name in options if name not in plain} | refused_producer_options(plain)
        if refused:
            raise contradiction([Refusal(name, message, remedy) for name, (message, remedy) in refused.items()])
        return options

    @model_validator(mode="after")
    def _schema_registry_has_a_schema_for_each_topic(self) -> Kafka:
        if self.schema_registry.url is None:
            return self
        by_topic: dict[str, list[str]] = {}
        for destination, topic in self.topics.by_destination().items():
            by_topic.setdefault(topic, []).append(destination)
        found = [
            Refusal(
                "schema_registry.url",
                f"cannot be used where {' and '.join(kinds)} share the topic {topic}: a topic has one schema",
                "give each kind a topic of its own, or remove the url",
                self.schema_registry.url,
            )
            for topic, kinds in by_topic.items()
            if len(kinds) > 1
        ]
        found += [
            Refusal(
                f"format.{kind}",
                "has no schema that could be registered",
                "give another format, or remove kafka.schema_registry.url",
                "raw",
            )
            for kind, form in self.format.by_kind().items()
            if form == "raw"
        ]
        if found:
            raise contradiction(found)
        return self
