"""What the pages cost: how long they take while events come as fast as they can, and what an open browser takes."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.bench.contestants import cpu_seconds
from tests.harness.browser import Browser
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.load import FabricPublisher, encode_detections
from tests.harness.mosquitto import Mosquitto
from tests.harness.topics import Topics
from tie_forwarder.demo.certificates import Authority

PAGES = ("/", "/status", "/metrics")
_BETWEEN_SECONDS = 0.1
_SETTLING_SECONDS = 5.0
_MEASURED_SECONDS = 30.0
_TIMEOUT_SECONDS = 10.0


class Pages(NamedTuple):
    """Milliseconds, and shares of a core."""

    idle: dict[str, list[float]]
    """By page, how long each answer took with nothing else to do."""
    loaded: dict[str, list[float]]
    """The same under a flood of detections."""
    rate: float
    """Detections a second that were published to Kafka meanwhile."""
    unwatched: float
    """What the forwarder takes in all with nothing to do."""
    watched: float
    """The same with one browser open."""


def measure_pages(*, fabric: Mosquitto, kafka: KafkaCluster, directory: Path, events: int) -> Pages:
    """One forwarder: idle, with a browser, and under a flood of so many events."""
    topics = Topics.unique().create(kafka.administration)
    forwarder = Forwarder(
        directory=directory / "pages",
        dxl_config=fabric.client_config("pages"),
        bootstrap_servers=kafka.bootstrap_servers,
        topics=topics,
        name="pages",
    )
    packets = encode_detections(range(events))
    try:
        forwarder.start()
        with FabricPublisher(fabric=fabric, name="pages-load") as publisher:
            publisher.send(packets[:100])
            forwarder.wait_until(lambda f: f.ledger()["published"] == 100, timeout=30.0)
            unwatched = _share(forwarder)
            with Browser() as browser:
                visit = browser.visit(f"http://127.0.0.1:{forwarder.http_port}/")
                watched = _share(forwarder)
                assert visit.asked > _MEASURED_SECONDS / 4, "the page does not ask for news"
                visit.close()
            idle = _ask(forwarder, threading.Event(), most=100)
            loaded, rate = _under_load(forwarder, publisher, packets[100:])
    finally:
        forwarder.discard()
    return Pages(idle, loaded, rate, unwatched, watched)


def _share(forwarder: Forwarder) -> float:
    """Of a core, over all processes of the forwarder."""
    main = psutil.Process(forwarder.pid)
    processes = [main, *main.children(recursive=True)]
    time.sleep(_SETTLING_SECONDS)
    before, started = sum(map(cpu_seconds, processes)), time.monotonic()
    time.sleep(_MEASURED_SECONDS)
    return (sum(map(cpu_seconds, processes)) - before) / (time.monotonic() - started)


def _under_load(
    forwarder: Forwarder, publisher: FabricPublisher, packets: Sequence[bytes]
) -> tuple[dict[str, list[float]], float]:
    before, started = forwarder.ledger()["published"], time.monotonic()
    done = threading.Event()
    with _flood(publisher, packets):
        threading.Thread(target=_tell_when_published, args=(forwarder, before + len(packets), done)).start()
        found = _ask(forwarder, done)
    return found, len(packets) / (time.monotonic() - started)


@contextmanager
def _flood(publisher: FabricPublisher, packets: Sequence[bytes]) -> Iterator[None]:
    thread = threading.Thread(target=publisher.send, args=(packets,))
    thread.start()
    yield
    thread.join()


def _tell_when_published(forwarder: Forwarder, count: int, done: threading.Event) -> None:
    try:
        forwarder.wait_until(lambda f: f.ledger()["published"] >= count, timeout=300.0, what="all published")
    finally:
        done.set()


def _ask(forwarder: Forwarder, done: threading.Event, *, most: int | None = None) -> dict[str, list[float]]:
    """Asks for each page in turn, over a new connection each time, until it is done."""
    found: dict[str, list[float]] = {page: [] for page in PAGES}
    while not done.wait(_BETWEEN_SECONDS) and len(found[PAGES[-1]]) != most:
        for page in PAGES:
            started = time.monotonic()
            connection = HTTPConnection("127.0.0.1", forwarder.http_port, timeout=_TIMEOUT_SECONDS)
            connection.request("GET", page)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            assert answer.status == 200, page
            found[page].append((time.monotonic() - started) * 1000)
    return found


def report(pages: Pages) -> None:
    """Prints the figures."""
    for name, times in (("idle", pages.idle), (f"under {pages.rate:.0f} detections/s", pages.loaded)):
        figures = "; ".join(
            f"{page} {statistics.median(found):.1f} ms (95 % within {_within(found, 0.95):.1f}, all {max(found):.1f})"
            for page, found in times.items()
        )
        print(f"pages, {name}: {figures}")
    cost = pages.watched - pages.unwatched
    print(
        f"one browser open: {cost:.2%} of a core ({pages.unwatched:.2%} without, {pages.watched:.2%} with it, over all"
        " processes of the forwarder)"
    )


def _within(found: Sequence[float], share: float) -> float:
    return sorted(found)[int(len(found) * share)]


def main() -> None:
    """These figures alone: `python -m tests.bench.pages`."""
    with tempfile.TemporaryDirectory(prefix="tie-forwarder-bench-") as temporary:
        directory = Path(temporary)
        authority = Authority(directory / "authority")
        with (
            Mosquitto(directory=directory / "mosquitto", authority=authority) as fabric,
            KafkaCluster(directory=directory / "kafka", java_options=()) as kafka,
        ):
            report(measure_pages(fabric=fabric, kafka=kafka, directory=directory, events=60_000))


if __name__ == "__main__":
    main()
