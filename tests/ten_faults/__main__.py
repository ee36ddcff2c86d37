"""Makes the ten faults one after the other: `python -m tests.ten_faults [NAME ...]`. About five minutes; needs root.

Root, because the full disk is a file system of its own. Exit code 0 when everything named the cause and the remedy of
each; with all ten, docs/runbook.md is then written anew.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.ten_faults.faults import FAULTS, Fault
from tests.ten_faults.shown import Shown, look
from tests.ten_faults.stage import PASSWORD, USER, Stage
from tests.ten_faults.table import section, write
from tie_forwarder.demo.certificates import Authority

_NOTICED_SECONDS = 60.0


def make(fault: Fault, *, directory: Path, authority: Authority, kafka: KafkaCluster) -> Shown:
    """One fault, from a forwarder that is well to what is shown."""
    stage = Stage(
        name=fault.name.replace(" ", "-").lower(), directory=directory, authority=authority, kafka=kafka,
        small_disk=fault.small_disk, deaf=fault.deaf, short_lived=fault.short_lived,
    )  # fmt: skip
    with stage.open():
        try:
            fault.make(stage)
            stage.forwarder.wait_until(
                lambda f: _names(f.status(), fault),
                timeout=_NOTICED_SECONDS,
                what=f"{fault.name} is noticed",
            )
            return look(stage.forwarder)
        finally:
            fault.mend(stage)


def _names(status: dict[str, Any], fault: Fault) -> bool:
    """Whether the state is that of the fault, and the detail is past its first words."""
    named = (status["state"], status["reason"]) in fault.reasons
    return named and any(fault.says in problem["detail"] for problem in status["problems"])


def main(names: Sequence[str]) -> int:
    """The exit code."""
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    directory = Path(tempfile.mkdtemp(prefix="ten-faults-"))
    authority = Authority(directory / "authority")
    security = Security(protocol="SASL_PLAINTEXT", users={USER: PASSWORD})
    seen: dict[str, Shown] = {}
    complaints = []
    with KafkaCluster(directory=directory / "kafka", security=security, acls=True) as kafka:
        for fault in chosen:
            try:
                shown = make(fault, directory=directory, authority=authority, kafka=kafka)
            except (TimeoutError, AssertionError) as error:
                complaints.append(f"{fault.name}: {error}")
                continue
            seen[fault.name] = shown
            found = shown.complaints(fault.check)
            complaints += [f"{fault.name}: {complaint}" for complaint in found]
            print(f"{fault.name}: {shown.state}, {shown.reason}: {shown.detail} ({shown.remedy})", flush=True)
    for complaint in complaints:
        print(f"complaint: {complaint}", flush=True)
    if not complaints and not names:
        write(section((fault.name, fault.check, seen[fault.name]) for fault in FAULTS))
    shutil.rmtree(directory) if not complaints else print(f"logs in {directory}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
