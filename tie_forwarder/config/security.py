"""The `kafka.security` section: TLS and SASL, as the publisher hands them to its client.

Secrets that stand in files are read when they are asked for, so that a new producer sees a rotated one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from tie_forwarder.config.component import (
    BlankIsNone,
    Component,
    OptionalCredentialFile,
    OptionalSecret,
    OptionalText,
    Refusal,
    contradiction,
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
