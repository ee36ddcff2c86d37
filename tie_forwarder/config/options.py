"""The tree of options that the models span: what is a section, what is secret, which names there are.

Knows no values.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import SecretStr

from tie_forwarder.config.component import Component
from tie_forwarder.config.model import Config
from tie_forwarder.config.origins import Option


def section_model(option: Option) -> type[Component] | None:
    """The model of the section at this path; None where the path names an option, or nothing."""
    model: type[Component] = Config
    for name in option:
        field = model.model_fields.get(name)
        annotation = None if field is None else field.annotation
        if not (isinstance(annotation, type) and issubclass(annotation, Component)):
            return None
        model = annotation
    return model


def is_section(option: Option) -> bool:
    return section_model(option) is not None


def is_secret(option: Option) -> bool:
    """Whether the option's value must never be shown. What is unknown may be a secret with its name misspelt."""
    model = section_model(option[:-1])
    field = None if model is None or not option else model.model_fields.get(option[-1])
    return field is None or SecretStr in _parts(field.annotation)


def leaf_options(section: Option = ()) -> Iterator[Option]:
    """Every option that is no section, in the order of the models."""
    model = section_model(section)
    for name in () if model is None else model.model_fields:
        option = (*section, name)
        if is_section(option):
            yield from leaf_options(option)
        else:
            yield option


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation is made of."""
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(part for argument in get_args(annotation) for part in _parts(argument))
    return (annotation,)
