"""The `filters` section: which events are not forwarded. Off by default; what stands in the lists is read elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tie_forwarder.config.component import BlankIsNone, Component, Location, Refusal, contradiction

Mode = Literal["deny", "allow"]
TrustLevel = Annotated[Annotated[int, Field(ge=1, le=100)] | None, BlankIsNone]
ListFile = Annotated[Location | None, BlankIsNone]


class Filters(Component):
    """What is left out, by what an event says; what it does not say never leaves it out."""

    trust_level_at_least: TrustLevel = None
    trust_level_at_most: TrustLevel = None
    hashes_file: ListFile = None
    hashes_mode: Mode = "deny"
    agents_file: ListFile = None
    agents_mode: Mode = "deny"

    @model_validator(mode="after")
    def _each_option_has_an_effect(self) -> Filters:
        found = [
            Refusal(f"{what}_mode", f"has no effect without {what}_file", f"give {what}_file, or leave it out", "allow")
            for what in ("hashes", "agents")
            if getattr(self, f"{what}_mode") == "allow" and getattr(self, f"{what}_file") is None
        ]
        least, most = self.trust_level_at_least, self.trust_level_at_most
        if least is not None and most is not None and least > most:
            message = f"is above trust_level_at_most, {most}, so that no trust level would pass"
            found.append(Refusal("trust_level_at_least", message, "give the lower one here", least))
        if found:
            raise contradiction(found)
        return self
