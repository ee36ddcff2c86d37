"""`python -m tests.simulation SEED [MUTANT]` prints one schedule step by step."""

from __future__ import annotations

import sys

from tests.simulation.mutants import MUTANTS, NONE
from tests.simulation.plan import draw
from tests.simulation.schedule import simulate


def main() -> int:
    """Returns 1 when the judge complains."""
    seed = int(sys.argv[1])
    mutant = MUTANTS[sys.argv[2]] if len(sys.argv) > 2 else NONE
    print(draw(seed))
    outcome = simulate(seed, mutant=mutant, trace=print)
    print(outcome)
    return 1 if outcome.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
