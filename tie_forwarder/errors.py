"""The errors that a person reads: each is one sentence with its place and value, and says what to do."""

from __future__ import annotations


class ForwarderError(Exception):
    """Something that the forwarder cannot mend by itself. `str()` is one readable line with the remedy at its end."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message} ({remedy})" if remedy else message)
