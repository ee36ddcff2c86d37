"""What is wrong with a configuration: one sentence per fault, with its place and remedy.

Also the tree of options that the models span, which says whose values may be shown: all others may be secrets.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ValidationError

from tie_forwarder.config.component import Component, Refusal
from tie_forwarder.config.model import Config, Option, Origins, dotted
from tie_forwarder.errors import ForwarderError


@dataclass(frozen=True)
class Fault:
    """One thing to mend. `str()` is one readable sentence: place, field, value, what is wrong, remedy."""

    place: str
    """Where the value was given: `config.yaml, line 12`, `environment variable ...`, `command line`; may be empty."""
    field: str
    """The option with dots (`kafka.security.protocol`); empty when the fault concerns a whole file."""
    value: object
    """The value as it was given; None when there is none to show, and always for secrets."""
    message: str
    """What is wrong, as the end of a sentence that began with the field and its value."""
    remedy: str
    """What to do; empty when the message says it."""

    def __str__(self) -> str:
        subject = self.field if self.value is None else f"{self.field} = {_shown(self.value)}"
        parts = [part for part in (self.place, subject, self.message) if part]
        sentence = ": ".join(parts)
        return f"{sentence}; {self.remedy}" if self.remedy else sentence


class ConfigError(ForwarderError):
    """The configuration cannot be used. `faults` holds every fault that was found, `str()` one line for each."""

    exit_code: ClassVar[int] = 78
    """What the process ends with: EX_CONFIG of sysexits.h."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


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


SHOWN = frozenset(
    {
        "dxl.config_file",
        "dxl.fabric",
        "dxl.events",
        "dxl.keep_alive_seconds",
        "dxl.canary_interval_seconds",
        "dxl.canary_timeout_seconds",
        "dxl.receiver_queue_events",
        "filters.trust_level_at_least",
        "filters.trust_level_at_most",
        "filters.hashes_file",
        "filters.hashes_mode",
        "filters.agents_file",
        "filters.agents_mode",
        "kafka.delivery",
        "kafka.topics.detection",
        "kafka.topics.first_instance",
        "kafka.topics.file_reputation_change",
        "kafka.topics.certificate_reputation_change",
        "kafka.topics.dead_letter",
        "kafka.key",
        "kafka.format",
        "kafka.format.detection",
        "kafka.format.first_instance",
        "kafka.format.file_reputation_change",
        "kafka.format.certificate_reputation_change",
        "kafka.schema_registry.ca_file",
        "kafka.security.protocol",
        "kafka.security.ca_file",
        "kafka.security.certificate_file",
        "kafka.security.key_file",
        "kafka.security.verify_hostname",
        "kafka.security.sasl.mechanism",
        "group.name",
        "group.member",
        "group.takeover_after_seconds",
        "group.window_seconds",
        "group.margin_seconds",
        "spool.directory",
        "spool.max_bytes",
        "spool.when_full",
        "spool.commit_interval_ms",
        "http.listen",
        "http.allowed_hosts",
        "http.show_payload_bytes",
        "log.level",
        "log.format",
        "shutdown.drain_seconds",
    }
)
"""The options of which a rejected value is shown. All others may hold a secret: a server with a password before it, a
token in a URL, a password in place of its file's name, a section that is given as text, a name that is misspelt."""


def is_shown(option: Option) -> bool:
    """Whether a rejected value of the option may be shown."""
    return ".".join(option) in SHOWN


def leaf_options(section: Option = ()) -> Iterator[Option]:
    """Every option that is no section, in the order of the models."""
    model = section_model(section)
    for name in () if model is None else model.model_fields:
        option = (*section, name)
        if is_section(option):
            yield from leaf_options(option)
        else:
            yield option


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
