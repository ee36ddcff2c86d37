"""What somebody looks for: one event by its id, or all that are about a file, by its SHA-256."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import NamedTuple

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Wanted(NamedTuple):
    """One of both is empty."""

    event_id: str
    sha256: str

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """A UUID, with braces or without, or a SHA-256 in hex. Raises ValueError."""
        name = text.strip().strip("{}").lower()
        if _UUID.fullmatch(name):
            return cls(name, "")
        if _SHA256.fullmatch(name):
            return cls("", name)
        raise ValueError(f"{text!r} is neither the id of an event (a UUID) nor a SHA-256 (64 hexadecimal digits)")

    def is_meant(self, headers: Sequence[tuple[str, bytes]], value: bytes) -> bool:
        """Whether a record is one of those that are looked for.

        A file's digest is found in every format of the value, and in a dead letter as TIE writes it.
        """
        if self.event_id:
            return any(name == "ce_id" and content == self.event_id.encode() for name, content in headers)
        in_hex = self.sha256.encode()
        if any(name == "ce_subject" and content == in_hex for name, content in headers):
            return True
        # JSON may write a slash as \\/.
        in_base64 = base64.b64encode(bytes.fromhex(self.sha256))
        return in_hex in value.lower() or in_base64 in value.replace(b"\\/", b"/")
