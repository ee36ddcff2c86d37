"""Where each value of the configuration came from, so that a fault can name the line or the variable to change."""

from __future__ import annotations

from dataclasses import dataclass, field

Option = tuple[str, ...]
"""An option's path from the root: `("kafka", "security", "protocol")`."""


@dataclass(frozen=True)
class Origins:
    """The place of every option that was given. A later source replaces an earlier one."""

    _places: dict[Option, str] = field(default_factory=dict)

    def note(self, option: Option, place: str) -> None:
        self._places[option] = place

    def place_of(self, option: Option) -> str:
        """The place of the option itself, or of what was given inside it; empty when nothing was."""
        if option in self._places:
            return self._places[option]
        inside = (place for path, place in self._places.items() if path[: len(option)] == option)
        return next(inside, "")

    def place_around(self, option: Option) -> str:
        """The same, or the place of the nearest section around it."""
        for length in range(len(option), 0, -1):
            place = self.place_of(option[:length])
            if place:
                return place
        return ""
