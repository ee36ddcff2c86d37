"""What comes before the values of the records: the bytes of a schema registry, which name the schema of the value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tie_forwarder.publisher.errors import REMEDIES, ErrorClass, PublisherError, Verdict
from tie_forwarder.records.form import form_of
from tie_forwarder.records.record import Record
from tie_forwarder.records.wire_format import registry_prefix


class SchemaOf(NamedTuple):
    """The schema of the records of a destination."""

    schema_id: int
    form: str
    """The format of the values that it describes."""


class Prefixes:
    """Knows the bytes for each record. Immutable."""

    def __init__(self, schemas: Mapping[str, SchemaOf] = MappingProxyType({})) -> None:
        """`schemas` are by destination; one that is not there has no bytes, as the dead letters."""
        self._known = {name: (registry_prefix(each.schema_id), each.form) for name, each in schemas.items()}

    def before(self, record: Record) -> bytes:
        """The bytes; none where there is no schema.

        Raises PublisherError for a record that was rendered in another format, when `kafka.format` was another one: its
        schema would be a false one.
        """
        known = self._known.get(record.destination)
        if known is None:
            return b""
        prefix, form = known
        found = form_of(record)
        if found != form:
            detail = f"the spool has a {record.destination} in the format {found}, and kafka.format is {form}"
            raise PublisherError(Verdict(ErrorClass.BLOCKED, "registry_format", detail, REMEDIES["registry_format"]))
        return prefix
