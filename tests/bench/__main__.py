"""The benchmark's run and its table."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.contestants import Delivery, Result, run_forwarder, run_sample
from tests.bench.formats import microseconds_by_format
from tests.bench.latency import median_latency
from tests.bench.pages import measure_pages
from tests.bench.pages import report as report_pages
from tests.bench.standby import RATE, measure_standby
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import encode_detections
from tests.harness.mosquitto import Mosquitto
from tie_forwarder.demo.certificates import Authority
from tie_forwarder.events.message import TOPICS

DELIVERIES: tuple[Delivery, ...] = ("at_least_once", "exactly_once")


def main() -> None:
    """Runs the contestants in turn, several rounds, and prints medians and ratios."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000, help="detections of each run (default 40000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant (default 3)")
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} processors, Python {platform.python_version()}; {options.rounds} rounds of"
        f" {options.events} detections; fabric, Kafka and load on the same machine"
    )
    results: dict[str, list[Result]] = {"sample": [], **{delivery: [] for delivery in DELIVERIES}}
    with tempfile.TemporaryDirectory(prefix="tie-forwarder-bench-") as temporary, ExitStack() as stack:
        directory = Path(temporary)
        authority = Authority(directory / "authority")
        fabric = stack.enter_context(Mosquitto(directory=directory / "mosquitto", authority=authority))
        kafka = stack.enter_context(KafkaCluster(directory=directory / "kafka", java_options=()))
        packets = encode_detections(range(options.events))
        # Java compiles what is used often; nobody's first run is counted.
        _run(fabric, kafka, packets[:10_000], directory, "warm", "exactly_once")
        for number in range(options.rounds):
            results["sample"].append(run_sample(fabric=fabric, packets=packets, name=f"sample-{number}"))
            _say("sample", results["sample"][-1])
            for delivery in DELIVERIES:
                results[delivery].append(_run(fabric, kafka, packets, directory, f"{delivery}-{number}", delivery))
                _say(delivery, results[delivery][-1])
        latency = median_latency(fabric=fabric, kafka=kafka, directory=directory)
        standby = measure_standby(fabric=fabric, kafka=kafka, directory=directory)
        pages = measure_pages(fabric=fabric, kafka=kafka, directory=directory, events=options.events)
    _report(results)
    print(
        "one event at a time until a read_committed reader has it, medians:"
        f" {latency.from_fabric:.1f} ms from the fabric, {latency.from_spool:.1f} ms from the spool, which is"
        f" {latency.from_spool / latency.of_kafka_alone:.2f} of what Kafka and kafka-python need for it alone"
        f" ({latency.of_kafka_alone:.1f} ms)"
    )
    _say_formats()
    parts = ", ".join(f"{part} {share:.1%}" for part, share in standby.parts.items())
    print(
        f"a standby at {RATE} detections/s: {standby.whole:.1%} of a core ({parts}),"
        f" {standby.whole / standby.sample:.2f} of the bare sample's {standby.sample:.1%} at the same time"
    )
    report_pages(pages)


def _run(
    fabric: Mosquitto, kafka: KafkaCluster, packets: Sequence[bytes], directory: Path, name: str, delivery: Delivery
) -> Result:
    return run_forwarder(fabric=fabric, kafka=kafka, packets=packets, name=name, delivery=delivery, directory=directory)


def _say(name: str, result: Result) -> None:
    cpu = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in result.cpu_seconds.items())
    memory = ", ".join(f"{part} {megabytes:.0f} MB" for part, megabytes in result.resident_megabytes.items())
    print(f"  {name:14} {result.rate:8.0f}/s   CPU: {cpu}   resident: {memory}", flush=True)


def _report(results: dict[str, list[Result]]) -> None:
    medians = {name: statistics.median(result.rate for result in runs) for name, runs in results.items()}
    print(f"\nbare sample, doing nothing: {medians['sample']:.0f} detections/s")
    for delivery in DELIVERIES:
        total = statistics.median(sum(result.resident_megabytes.values()) for result in results[delivery])
        print(
            f"{delivery}: {medians[delivery]:.0f} acknowledged records/s,"
            f" {medians[delivery] / medians['sample']:.2f} of the sample's; resident in all {total:.0f} MB"
        )
    print(f"exactly_once / at_least_once: {medians['exactly_once'] / medians['at_least_once']:.2f}")


def _say_formats() -> None:
    for kind in TOPICS:
        found = microseconds_by_format(kind)
        ratios = ", ".join(f"{form} {found[form] / found['json']:.2f}" for form in found if form != "json")
        print(f"intake of one {kind}: json {found['json']:.1f} us of CPU; of that {ratios}")


if __name__ == "__main__":
    main()
