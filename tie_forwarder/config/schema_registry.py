"""The `kafka.schema_registry` section: where the schemas of the records are registered, if at all."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, model_validator

from tie_forwarder.config.component import (
    BlankIsNone,
    Component,
    OptionalCredentialFile,
    OptionalSecret,
    OptionalText,
    Refusal,
    contradiction,
    refusal,
)
from tie_forwarder.config.security import read_secret, two_sources

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
