"""The `kafka` section: the cluster, its security, the topics, the schema registry, and how records are delivered."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from tie_forwarder.config.address import parse_address
from tie_forwarder.config.component import (
    BlankIsNone,
    Component,
    Items,
    OptionalCredentialFile,
    OptionalSecret,
    OptionalText,
    Refusal,
    contradiction,
    refusal,
)
from tie_forwarder.config.plain_file import read_file
from tie_forwarder.errors import ForwarderError

_MOST_BYTES = 64 * 1024

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class Sasl(Component):
    """Who the forwarder is to Kafka, where Kafka asks for a password."""

    mechanism: Annotated[Mechanism | None, BlankIsNone] = None
    username: OptionalText = None
    password: OptionalSecret = None
    password_file: OptionalCredentialFile = None

    def read_password(self) -> str | None:
        """The password, read now if it stands in a file. Raises `ForwarderError` when that file cannot be read."""
        return read_secret(self.password, self.password_file, "kafka.security.sasl.password_file")

    @model_validator(mode="after")
    def _one_source(self) -> Sasl:
        if self.password is not None and self.password_file is not None:
            raise contradiction([two_sources("password")])
        return self


class Security(Component):
    """How the connection to Kafka is protected."""

    protocol: Protocol = "plaintext"
    ca_file: OptionalCredentialFile = None
    certificate_file: OptionalCredentialFile = None
    key_file: OptionalCredentialFile = None
    key_password: OptionalSecret = None
    key_password_file: OptionalCredentialFile = None
    verify_hostname: bool = True
    sasl: Sasl = Field(default_factory=Sasl)

    @property
    def uses_tls(self) -> bool:
        return self.protocol in ("ssl", "sasl_ssl")

    @property
    def uses_sasl(self) -> bool:
        return self.protocol in ("sasl_plaintext", "sasl_ssl")

    def read_key_password(self) -> str | None:
        """The password of `key_file`, read now if it stands in a file. Raises `ForwarderError` as `read_password`."""
        return read_secret(self.key_password, self.key_password_file, "kafka.security.key_password_file")

    @model_validator(mode="after")
    def _options_agree_with_the_protocol(self) -> Security:
        found = [*self._tls_refusals(), *self._sasl_refusals()]
        if found:
            raise contradiction(found)
        return self

    def _tls_refusals(self) -> list[Refusal]:
        found = []
        if self.key_password is not None and self.key_password_file is not None:
            found.append(two_sources("key_password"))
        if self.key_file is not None and self.certificate_file is None:
            found.append(Refusal("key_file", "has no certificate_file beside it", "give both", str(self.key_file)))
        if not self.uses_tls:
            found += [
                Refusal(option, f"has no effect with protocol {self.protocol}", "use ssl or sasl_ssl, or remove it")
                for option in ("ca_file", "certificate_file", "key_file", "key_password", "key_password_file")
                if getattr(self, option) is not None
            ]
        return found

    def _sasl_refusals(self) -> list[Refusal]:
        sasl = self.sasl
        if not self.uses_sasl:
            remedy = "use sasl_ssl or sasl_plaintext, or remove it"
            return [
                Refusal(f"sasl.{option}", f"has no effect with protocol {self.protocol}", remedy)
                for option in ("mechanism", "username", "password", "password_file")
                if getattr(sasl, option) is not None
            ]
        found = [
            Refusal(f"sasl.{option}", f"is needed by protocol {self.protocol}", "set it")
            for option in ("mechanism", "username")
            if getattr(sasl, option) is None
        ]
        if sasl.password is None and sasl.password_file is None:
            message = f"is needed by protocol {self.protocol}"
            found.append(Refusal("sasl.password", message, "set it, or better sasl.password_file"))
        return found


def two_sources(option: str) -> Refusal:
    """A secret is given, and the file of it too."""
    return Refusal(option, f"is given, and {option}_file too", "keep one of the two")


def read_secret(secret: SecretStr | None, file: Path | None, option: str) -> str | None:
    """The secret, read now if it stands in a file. Raises `ForwarderError` when that file cannot be read."""
    if file is None:
        return None if secret is None else secret.get_secret_value()
    try:
        content = read_file(file, most_bytes=_MOST_BYTES).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        remedy = "make the file readable for the user that runs the forwarder"
        # Without its path: a password in place of the file's name must not be shown.
        raise ForwarderError(f"the file of {option} cannot be read: {reason}", remedy=remedy) from None
    if not content:
        raise ForwarderError(f"the file of {option} is empty", remedy="write the secret into it")
    return content


_CLIENT = ("confluent_kafka", "authlib", "cachetools")
"""What the extra installs, as far as it is not there by chance."""


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise refusal("is no URL", remedy="write https://HOST:PORT and the path of the registry's API") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_good_port(parts):
        raise refusal("is no URL of http or https", remedy="write https://HOST:PORT and the path of the registry's API")
    if "@" in parts.netloc:
        raise refusal("carries a user", remedy="use kafka.schema_registry.username and password_file")
    if parts.query or parts.fragment:
        raise refusal("has a part after ? or #", remedy="write the URL without it")
    return text.rstrip("/")


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


Url = Annotated[str, AfterValidator(_url)]


class SchemaRegistry(Component):
    """A schema registry with Confluent's API. Without a URL there is none, and values are written as they are."""

    url: Annotated[Url | None, BlankIsNone] = None
    username: OptionalText = None
    password: OptionalSecret = None
    password_file: OptionalCredentialFile = None
    ca_file: OptionalCredentialFile = None

    def read_password(self) -> str | None:
        """The password, read now if it stands in a file. Raises `ForwarderError` when that file cannot be read."""
        return read_secret(self.password, self.password_file, "kafka.schema_registry.password_file")

    @model_validator(mode="after")
    def _options_agree(self) -> SchemaRegistry:
        found = [*self._useless_options(), *self._faulty_login(), *self._missing_client()]
        if found:
            raise contradiction(found)
        return self

    def _useless_options(self) -> list[Refusal]:
        if self.url is None:
            return [
                Refusal(option, "has no effect without a url", "give the url, too, or remove it")
                for option in ("username", "password", "password_file", "ca_file")
                if getattr(self, option) is not None
            ]
        if self.ca_file is not None and not self.url.startswith("https:"):
            remedy = "use https, or remove it"
            return [Refusal("ca_file", "has no effect with an url of http", remedy, str(self.ca_file))]
        return []

    def _faulty_login(self) -> list[Refusal]:
        if self.password is not None and self.password_file is not None:
            return [two_sources("password")]
        has_password = self.password is not None or self.password_file is not None
        if self.url is not None and self.username is not None and not has_password:
            return [Refusal("password", "is needed beside username", "set it, or better password_file")]
        if self.url is not None and self.username is None and has_password:
            return [Refusal("username", "is needed beside the password", "set it")]
        return []

    def _missing_client(self) -> list[Refusal]:
        if self.url is None or all(find_spec(name) is not None for name in _CLIENT):
            return []
        remedy = "install confluent-kafka[schemaregistry], which is the extra `registry` of this package"
        return [Refusal("url", "needs a client that is not installed", remedy, self.url)]


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
        from tie_forwarder.config.producer_options import refused_producer_options

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
