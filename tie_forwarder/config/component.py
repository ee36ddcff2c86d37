"""What every part of the configuration is built from: the frozen base model and the kinds of value that options share.

A value that is refused says why and what to do, through `refusal`; nothing here looks at the disk, except to find a
secret's file among the credentials of the service.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError


@dataclass(frozen=True)
class Surroundings:
    """What relative paths are relative to; passed to the models as their validation context."""

    directory: Path
    credentials: Path | None = None


class Refusal(NamedTuple):
    """Why a component contradicts itself: the option (relative to the component), what is wrong, what to do."""

    option: str
    message: str
    remedy: str
    value: object = None


class Component(BaseModel):
    """One section of the configuration: immutable, without unknown options, its inputs never shown in errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _an_empty_section_has_the_defaults(cls, data: Any) -> Any:
        return {} if data is None else data


def refusal(message: str, *, remedy: str = "") -> PydanticCustomError:
    """The error to raise in a field's validator. Neither text may contain the value of a secret."""
    return PydanticCustomError("refused", "{message}", {"message": message, "remedy": remedy})


def contradiction(refusals: Sequence[Refusal]) -> PydanticCustomError:
    """The error to raise in a component's validator, for all the contradictions found in it."""
    summary = "; ".join(f"{refusal.option}: {refusal.message}" for refusal in refusals)
    return PydanticCustomError("contradiction", "{summary}", {"summary": summary, "refusals": tuple(refusals)})


def _none_if_blank(value: Any) -> Any:
    return None if value == "" else value


def _items(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise refusal("begins like a JSON list and is none", remedy="separate the values with commas") from None
    return [item.strip() for item in value.split(",") if item.strip()]


def _placed(path: Path, info: ValidationInfo) -> Path:
    if str(path) == ".":
        raise refusal("names no file", remedy="give its path, absolute or relative to the configuration file")
    if "\0" in str(path):
        raise refusal("contains a NUL character", remedy="remove it")
    return info.context.directory / path if isinstance(info.context, Surroundings) else path


def _placed_or_credential(path: Path, info: ValidationInfo) -> Path:
    placed = _placed(path, info)
    if isinstance(info.context, Surroundings) and info.context.credentials and not path.is_absolute():
        credential = info.context.credentials / path
        if not os.access(placed, os.F_OK) and os.access(credential, os.F_OK):
            return credential
    return placed


Location = Annotated[Path, AfterValidator(_placed)]
"""A path; a relative one is relative to the directory of the configuration file."""

CredentialFile = Annotated[Path, AfterValidator(_placed_or_credential)]
"""The same; a relative one that is not there is also looked up in $CREDENTIALS_DIRECTORY (systemd)."""

BlankIsNone = BeforeValidator(_none_if_blank)
"""Lets an empty environment variable unset an option."""

OptionalCredentialFile = Annotated[CredentialFile | None, BlankIsNone]
OptionalSecret = Annotated[SecretStr | None, BlankIsNone]
OptionalText = Annotated[str | None, BlankIsNone]

Items = BeforeValidator(_items)
"""Marks a tuple that may also be given as text: separated by commas, or as a JSON list."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
"""A name that is safe in a Kafka header, a URI and a label."""
