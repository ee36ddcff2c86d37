"""How large a record is in Kafka, which limits batches of records (`max.message.bytes`): that of a batch with it alone.

Kafka's record format, version 2 (kafka.apache.org/documentation, "Record Batch" and "Record"): a header of 61 bytes,
then per record its length, attributes, two deltas that are 0 here, key, value and headers, each behind its length as a
variable-length integer.
"""

from __future__ import annotations

from collections.abc import Iterable

_BATCH_HEADER_BYTES = 61
_ATTRIBUTES_AND_DELTAS_BYTES = 3


def batch_bytes(key: bytes | None, value_bytes: int, headers: Iterable[tuple[str, bytes]]) -> int:
    """The size of an uncompressed batch with one record; `value_bytes` is the length of its value."""
    headers = list(headers)
    size = _ATTRIBUTES_AND_DELTAS_BYTES + _sized(len(key or b"")) + _sized(value_bytes) + _varint_bytes(len(headers))
    for name, value in headers:
        size += _sized(len(name.encode())) + _sized(len(value))
    return _BATCH_HEADER_BYTES + _sized(size)


def _sized(length: int) -> int:
    return _varint_bytes(length) + length


def _varint_bytes(number: int) -> int:
    """Of a number that is not negative, whose lowest bit in this format is its sign."""
    return max(1, (number.bit_length() + 7) // 7)
