"""`python -m tests.differential`: every kind at length, one line for each."""

from __future__ import annotations

import argparse
import time

from tests.differential.run import compare
from tie_forwarder.events.kinds import KINDS


def main() -> None:
    """Runs, prints the figures, and ends with the first difference's traceback where there is one."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="payloads of each kind (default: %(default)s)")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only this kind; may be repeated")
    asked = parser.parse_args()
    for kind in asked.kind or KINDS:
        started = time.monotonic()
        found = compare(kind, asked.count)
        reasons = ", ".join(f"{reason} {count}" for reason, count in found.dead_letters.most_common())
        print(
            f"{kind}: {found.payloads} payloads in {time.monotonic() - started:.0f} s: {found.equal} equal, "
            f"{found.dead_letters.total()} dead letters ({reasons}), of which dxltieclient loses "
            f"{found.lost_by_dxltieclient}; 0 differences"
        )


main()
