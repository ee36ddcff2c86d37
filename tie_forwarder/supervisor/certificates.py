"""The certificates in use and when they end, and whether they or a secret were renewed under the running daemon.

Nobody has to say that files have changed: they are looked at every ten seconds. What has changed is taken up once it
stands still, and only when nothing is wrong with it; until then the connections go on as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tie_forwarder.config import Config
from tie_forwarder.config.inspection import Certificate, Inspection, inspect
from tie_forwarder.errors import ForwarderError
from tie_forwarder.log import Log
from tie_forwarder.supervisor.inputs import Inputs, inputs_of

_BETWEEN_LOOKS_SECONDS = 10.0
_SETTLING_SECONDS = 2.0
"""Certificate and key are two files: whoever renews them is given time for both."""
_LOOKS_FOR_THE_ENDS = 60
"""Every so many looks the ends of the certificates are read again, too."""


class Certificates:
    """Knows what the last look has found; looks on a thread of its own, inspects in a process of its own."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        first: Inspection,
        in_use: Callable[[], Inputs],
        inspection: Callable[[Config], Inspection] = inspect,
    ) -> None:
        self._monotonic = monotonic
        self._inspect = inspection
        self._log = Log()
        self._in_use = in_use
        self.found = first
        """What was found in the files that are in use."""
        self._dxl_files = first.dxl_files
        self._next_look = monotonic() + _BETWEEN_LOOKS_SECONDS
        self._looks = 0
        self._looking: threading.Thread | None = None
        self._seen: Inputs | None = None
        self._refused: Inputs | None = None
        self._renewal: Inspection | None = None

    def current(self, config: Config) -> tuple[Certificate, ...]:
        """The certificates that could be read at the last look. Never blocks."""
        idle = self._looking is None or not self._looking.is_alive()
        if idle and self._monotonic() >= self._next_look:
            self._next_look = self._monotonic() + _BETWEEN_LOOKS_SECONDS
            self._looking = threading.Thread(target=self.look, args=(config,), name="certificates", daemon=True)
            self._looking.start()
        return tuple(self.found.certificates)

    def replace(self, found: Inspection) -> None:
        """Another has just looked, and the children are made from what is there now."""
        self.found = found
        self._dxl_files = found.dxl_files
        self._renewal = None

    def take_renewal(self) -> Inspection | None:
        """What was found in renewed files that are in order; once. None while there are none."""
        renewal, self._renewal = self._renewal, None
        return renewal

    def look(self, config: Config) -> None:
        """One look at the files. Blocks for the disk, and half a second where something has changed."""
        self._looks += 1
        now = inputs_of(config, self._dxl_files)
        before, self._seen = self._seen, now
        try:
            if now != self._in_use():
                self._look_at_the_change(config, now, settled=now == before)
            elif self._looks % _LOOKS_FOR_THE_ENDS == 0:
                self.found = self._inspect(config)
        except ForwarderError:
            return  # a machine without room for a process has louder troubles; the next look may work

    def _look_at_the_change(self, config: Config, now: Inputs, *, settled: bool) -> None:
        if not settled:
            self._next_look = self._monotonic() + _SETTLING_SECONDS
            return
        if now == self._refused:
            return  # it has been said
        found = self._inspect(config)
        changed_meanwhile = inputs_of(config, self._dxl_files) != now
        self._dxl_files = found.dxl_files
        if changed_meanwhile:
            return
        self._seen = inputs_of(config, found.dxl_files)  # dxlclient.config may name other files now
        if found.faults:
            self._refused = self._seen
            faults = [str(fault) for fault in found.faults]
            self._log.error("renewal.refused", faults=faults, effect="the connections go on as they are")
        else:
            self._refused, self._renewal = None, found
