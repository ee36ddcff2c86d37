"""Turns what the models refuse into faults that a person can act on.

A value is shown only where its option is known to hold no secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from tie_forwarder.config.component import Refusal
from tie_forwarder.config.faults import Fault
from tie_forwarder.config.options import is_shown, section_model
from tie_forwarder.config.origins import Option, Origins, dotted

_REMEDIES = {
    "string_type": "put the value in quotes",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "float_parsing": "give a number",
    "bool_parsing": "give true or false",
    "byte_size": "give bytes, or a size such as 512MiB or 4GiB",
    "byte_size_unit": "give bytes, or a size such as 512MiB or 4GiB",
    "string_pattern_mismatch": "use 1 to 200 letters, digits, dots, underscores and hyphens",
    "too_short": "give at least one",
    "tuple_type": "give a list",
    "path_type": "give a path",
    "finite_number": "give a number",
}
_PLAIN_KINDS = frozenset(
    {
        *_REMEDIES,
        "bool_type",
        "float_type",
        "int_parsing_size",
        "int_type",
        "literal_error",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "missing",
        "string_sub_type",
        "string_unicode",
    }
)
"""The kinds of error whose text, as pydantic writes it, does not quote the value of an option that is not shown."""

_LONGEST_NAME = 60


def faults_of(error: ValidationError, *, origins: Origins) -> list[Fault]:
    """Every fault that the models found, in the order of the options."""
    return [
        fault
        for details in error.errors(include_url=False)
        for fault in _faults(details["loc"], details["type"], details, origins)
    ]


def _faults(
    location: tuple[int | str, ...], kind: str, details: Mapping[str, Any], origins: Origins
) -> Iterator[Fault]:
    option = tuple(part for part in location if isinstance(part, str))
    context = details.get("ctx", {})
    if kind == "contradiction":
        yield from (_contradiction_fault(option, refusal, origins) for refusal in context["refusals"])
    elif kind == "extra_forbidden":
        yield _unknown_fault(option, origins)
    else:
        message, remedy = _explanation(option, kind, details)
        value = _showable(option, details.get("input"))
        yield Fault(origins.place_around(option), dotted(location), value, message, remedy)


def _contradiction_fault(section: Option, refusal: Refusal, origins: Origins) -> Fault:
    option = (*section, *refusal.option.split("."))
    value = _showable(option, refusal.value)
    return Fault(origins.place_around(option), dotted(option), value, refusal.message, refusal.remedy)


def _unknown_fault(option: Option, origins: Origins) -> Fault:
    model = section_model(option[:-1])
    known = list(model.model_fields) if model is not None else []
    near = difflib.get_close_matches(option[-1][:_LONGEST_NAME], known, n=1)
    remedy = f"did you mean {dotted((*option[:-1], near[0]))}?" if near else f"known here: {', '.join(known)}"
    return Fault(origins.place_around(option), dotted(option), None, "there is no such option", remedy)


def _explanation(option: Option, kind: str, details: Mapping[str, Any]) -> tuple[str, str]:
    if kind == "refused":
        return details["ctx"]["message"], details["ctx"]["remedy"]
    if kind in ("model_type", "dict_type", "mapping_type", "model_attributes_type"):
        return "must be a section", "write its options below it, one `name: value` a line"
    if kind not in _PLAIN_KINDS:
        return "is not valid", "see config.yaml of this package for what it may be"
    message = str(details["msg"]).replace("Input should be", "must be").replace("String should", "must")
    message = message[0].lower() + message[1:]
    if kind == "literal_error":
        return message, _nearest_choice(details)
    if kind == "string_pattern_mismatch":
        message = "is not a name that is safe everywhere"
    return message, _REMEDIES.get(kind, "")


def _nearest_choice(details: Mapping[str, Any]) -> str:
    choices = str(details["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
    near = difflib.get_close_matches(str(details.get("input"))[:_LONGEST_NAME], choices, n=1)
    return f"did you mean {near[0]}?" if near else ""


def _showable(option: Option, value: Any) -> object:
    if not is_shown(option) or not isinstance(value, str | int | float):
        return None
    return None if "@" in str(value) else value  # it may be a URL with a password in it
