"""What is wrong with a configuration: one sentence for each fault, and the error that carries all of them at once.

Never holds a secret: whoever makes a `Fault` for an option that is one leaves `value` out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

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
