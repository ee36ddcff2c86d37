"""The wire format of schema registries: a zero byte and the id of the value's schema come before the value.

No format of ours begins with a zero byte, so a value says by itself whether it has them.
"""

from __future__ import annotations

_MAGIC = b"\0"
_BYTES = 5


def registry_prefix(schema_id: int) -> bytes:
    """The five bytes of a schema's id."""
    return _MAGIC + schema_id.to_bytes(_BYTES - 1, "big")


def split_registry_prefix(value: bytes) -> tuple[int | None, bytes]:
    """The id of the schema, None where the value begins with none, and the value without it."""
    if not value.startswith(_MAGIC) or len(value) < _BYTES:
        return None, value
    return int.from_bytes(value[1:_BYTES], "big"), value[_BYTES:]
