"""How many rows a batch takes: more while Kafka is quick and fewer while it is not, from one process to the next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import MakeForwarder
from tests.harness.deliveries import detections, fill, side_by_side, start
from tests.harness.detections import detection
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.kafka.test_producer import everything_in
from tie_forwarder.group.batch_size import FIRST_ROWS, MOST_ROWS, BatchSize

BACKLOG, BYTES_A_SECOND = 1_600, 40_000.0


def send(size: BatchSize, seconds: float, *, rows: int | None = None) -> None:
    size.started(size.rows if rows is None else rows)
    size.succeeded(seconds)


def rows_over(batches: int, seconds_a_row: float, *, size: BatchSize) -> Iterator[int]:
    for _ in range(batches):
        yield size.rows
        send(size, size.rows * seconds_a_row)


def test_three_quick_full_batches_double_the_size_and_nothing_else_does() -> None:
    size = BatchSize()
    assert list(rows_over(10, 0.0001, size=size)) == [200] * 3 + [400] * 3 + [800] * 3 + [MOST_ROWS]
    size = BatchSize()
    for seconds, rows in ((0.1, None), (0.1, None), (1.5, None), (0.1, 10), (0.1, None), (0.1, None)):
        send(size, seconds, rows=rows)
        assert size.rows == FIRST_ROWS
    send(size, 0.1)
    assert size.rows == 2 * FIRST_ROWS


def test_a_slow_batch_is_halved_before_it_fails() -> None:
    size = BatchSize()
    assert list(rows_over(4, 0.1, size=size)) == [200, 100, 50, 50]


def test_what_was_too_much_is_tried_again_only_after_more_and_more_quick_batches() -> None:
    size = BatchSize()
    tried_after = []
    for _ in range(5):
        send(size, 6.0)
        quick = 0
        while size.rows < FIRST_ROWS:
            send(size, 0.1)
            quick += 1
        tried_after.append(quick)
    assert tried_after == [6, 12, 24, 48, 48]
    while size.rows < MOST_ROWS:
        send(size, 0.1)
    send(size, 6.0)
    assert size.rows == MOST_ROWS // 2
    for _ in range(6):
        send(size, 0.1)
    assert size.rows == MOST_ROWS, "it has forgotten"


@given(seconds_a_row=st.floats(1e-5, 4.9))
def test_at_a_steady_rate_the_size_settles_and_stays(seconds_a_row: float) -> None:
    size = BatchSize()
    settled = list(rows_over(100, seconds_a_row, size=size))[50:]
    assert len(set(settled)) == 1
    assert settled[0] * seconds_a_row < 6
    assert settled[0] == MOST_ROWS or settled[0] * seconds_a_row > 0.4


@given(deaths=st.integers(0, 12))
def test_each_death_in_a_batch_halves_what_the_next_process_begins_with_down_to_one_row(deaths: int) -> None:
    rows = 800
    for death in range(deaths):
        size = BatchSize(rows)
        assert size.next_process_rows == rows, "nothing is under way"
        size.started(size.rows)
        rows = size.next_process_rows
        assert rows == max(1, 800 >> (death + 1))


def test_the_next_process_begins_with_half_of_the_rows_that_were_sent_not_of_what_was_allowed() -> None:
    size = BatchSize(800)
    size.started(6)
    assert size.next_process_rows == 3
    size.refused()
    assert size.next_process_rows == 800, "a refusal is an answer"
    size.started(6)
    size.succeeded(0.1)
    assert size.next_process_rows == 800


def test_a_publisher_that_is_killed_in_a_batch_is_followed_by_one_that_begins_with_half(
    mosquitto: Mosquitto, own_kafka: KafkaCluster, make_forwarder: MakeForwarder
) -> None:
    (contender,) = side_by_side(
        make_forwarder, fabric=mosquitto, kafka=own_kafka, deliveries=["exactly_once"], partitions=1
    )
    forwarder, backlog = contender.forwarder, 20_000
    fill(forwarder, detections(range(backlog)))
    start([contender])
    forwarder.wait_until(lambda f: f.ledger()["published"] > 8_000, timeout=60.0, what="full batches")
    own_kafka.hang()
    forwarder.wait_until(
        lambda f: f.status()["publisher"]["waiting_seconds"] > 2, timeout=20.0, what="a batch that waits"
    )
    forwarder.kill_part("publisher")
    own_kafka.resume()
    contender.settle(backlog)
    contender.assert_delivered(range(backlog))
    rows = transactions(own_kafka, contender.topics.detection)
    full = rows.index(MOST_ROWS)
    assert rows[:full] == [200] * 3 + [400] * 3 + [800] * 3
    smaller = next(number for number, count in enumerate(rows) if number > full and count < MOST_ROWS)
    assert rows[smaller : smaller + 4] == [MOST_ROWS // 2] * 3 + [MOST_ROWS]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_backlog_under_a_quota_drains_steadily_in_smaller_batches(
    mosquitto: Mosquitto, kafka: KafkaCluster, make_forwarder: MakeForwarder
) -> None:
    contenders = side_by_side(make_forwarder, fabric=mosquitto, kafka=kafka, partitions=1)
    for contender in contenders:
        client_id = contender.topics.detection
        contender.forwarder.config["kafka"]["producer"] = {"client_id": client_id}
        kafka.administration.set_quota(client_id=client_id, producer_byte_rate=BYTES_A_SECOND)
        fill(contender.forwarder, {number: padded(number) for number in range(BACKLOG)})
    start(contenders)
    for published in range(BACKLOG // 8, BACKLOG + 1, BACKLOG // 8):
        for contender in contenders:
            contender.forwarder.wait_until(
                lambda f, published=published: f.ledger()["published"] >= published,  # type: ignore[misc]
                timeout=40.0,
                what=f"{contender.delivery}: {published} published",
            )
    for contender in contenders:
        kafka.administration.set_quota(client_id=contender.topics.detection, producer_byte_rate=None)
        metrics = contender.forwarder.metrics()
        started = sum(count for name, count in metrics.items() if "publisher_restarts_total" in name)
        assert started == 1, contender.forwarder.log()[-3000:]
        contender.settle(BACKLOG)
        contender.assert_delivered(range(BACKLOG))
        if contender.delivery == "exactly_once":
            _assert_shrinks(transactions(kafka, contender.topics.detection))


def _assert_shrinks(rows: list[int]) -> None:
    print(rows)
    assert rows[0] == FIRST_ROWS
    assert max(rows[-10:]) <= FIRST_ROWS // 2
    assert sum(after > before for before, after in pairwise(rows[:-1])) <= 1, "it swings"


def transactions(kafka: KafkaCluster, topic: str) -> list[int]:
    """How many records each transaction has in the topic's one partition; its end takes an offset, too."""
    offsets = [record.offset for record in everything_in(kafka, topic)]
    firsts = [
        at for at, (before, offset) in enumerate(zip([-2, *offsets], offsets, strict=False)) if offset > before + 1
    ]
    return [end - first for first, end in pairwise([*firsts, len(offsets)])]


def padded(number: int) -> bytes:
    """An event whose record has more than two thousand bytes."""
    fields = json.loads(detection(number, agent=number % 50))
    return json.dumps({**fields, "note": "x" * 2_000}).encode()
