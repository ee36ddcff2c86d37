"""The tree of options that the models span: what is a section, whose values may be shown, which names there are.

Knows no values.
"""

from __future__ import annotations

from collections.abc import Iterator

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
