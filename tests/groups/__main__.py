"""A campaign on servers of its own: `python -m tests.groups [--seed N]`.

Exit code 0 when every detection stands once in the output and every ledger balances, 1 otherwise. The directory with
the logs stays where something went wrong.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.groups.campaign import HEAD, Campaign, row, takeovers
from tests.groups.faults import FAULTS, Fault
from tests.groups.stage import TAKEOVER_SECONDS, Stage
from tests.harness.kafka.cluster import KafkaCluster
from tie_forwarder.demo.certificates import Authority

FAULTS_IN_A_CAMPAIGN = 48
EVENTS_IN_A_CAMPAIGN = 200_000
_NAMES = ("a", "b", "c")


def run_campaign(
    *,
    directory: Path,
    authority: Authority,
    seed: int,
    count: int = FAULTS_IN_A_CAMPAIGN,
    events: int = EVENTS_IN_A_CAMPAIGN,
    rate: float = 400.0,
    takeover_after_seconds: float = TAKEOVER_SECONDS,
    only: Sequence[Fault] = (),
) -> bool:
    """Three members, two of them at a time. Prints its progress and the table; whether all went well.

    Raises what went wrong where that is no matter of the verdict, with the table printed so far.
    """
    say(f"seed {seed}: `python -m tests.groups --seed {seed}` replays it; logs in {directory}")
    started = time.monotonic()
    with KafkaCluster(directory=directory / "kafka") as kafka, Stage(
        directory=directory, authority=authority, kafka=kafka, names=_NAMES, rate=rate,
        takeover_after_seconds=takeover_after_seconds,
    ) as stage:  # fmt: skip
        stage.start(*_NAMES[:2])
        campaign = Campaign(stage=stage, seed=seed, count=count, events=events, say=say, only=only)
        say("        " + HEAD)
        try:
            verdict = campaign.run()
        except BaseException:
            say(stage.describe())
            raise
        say("\n" + HEAD)
        for struck in campaign.struck:
            say(row(struck))
        say(f"\n{len(campaign.struck)} faults, {time.monotonic() - started:.0f} s; {takeovers(campaign.struck)}")
        say(str(verdict))
        for name, member in stage.members.items():
            if member.alive:
                say(f"ledger of {name}: {member.ledger()}")
        verdict.assert_exactly_once(in_order=False)
        return all(struck.verdict == "ok" for struck in campaign.struck)


def say(text: str) -> None:
    """Prints at once."""
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    asked = _arguments(arguments)
    seed = random.SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    directory = Path(tempfile.mkdtemp(prefix="groups-"))
    well = run_campaign(
        directory=directory,
        authority=Authority(directory / "authority"),
        seed=seed,
        count=asked.faults,
        events=asked.events,
        rate=asked.rate,
        only=[fault for fault in FAULTS if asked.only in fault.name],
    )
    if well:
        shutil.rmtree(directory, ignore_errors=True)
    return 0 if well else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.groups", description="Faults in groups of forwarders.")
    parser.add_argument("--seed", type=int, help="decides the order of the faults and their dice (by chance)")
    parser.add_argument("--faults", type=int, default=FAULTS_IN_A_CAMPAIGN, help="how many (%(default)s)")
    parser.add_argument("--events", type=int, default=EVENTS_IN_A_CAMPAIGN, help="how many at least (%(default)s)")
    parser.add_argument("--rate", type=float, default=400.0, help="detections a second (%(default)s)")
    parser.add_argument("--only", default="", help="only the faults whose name contains this")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
