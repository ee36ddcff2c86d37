"""The publisher's parts that need no Kafka: errors, causes, patience, partitions, refusals, what the parent knows."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Iterator
from typing import Any

import kafka.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, SaslAuthenticationFailedError
from kafka.partitioner.default import DefaultPartitioner

from tests.harness.clock import Clock
from tie_forwarder.config.producer_options import refused_producer_options
from tie_forwarder.kafka.errors import REMEDIES, Causes, ErrorClass, PublisherError, Verdict, classify
from tie_forwarder.kafka.producer import PRODUCER, Partitions
from tie_forwarder.publisher.parent import Repeats, ranges
from tie_forwarder.publisher.patience import Patience
from tie_forwarder.records.record import Record
from tie_forwarder.records.size import batch_bytes
from tie_forwarder.status.metrics import PUBLISH_ERRORS
from tie_forwarder.supervisor.guard import PublisherBackoff
from tie_forwarder.supervisor.publisher_watch import PublisherWatch
from tie_forwarder.supervisor.writer import Refusal, dead_letter_of

KAFKA_ERRORS = [
    error
    for _, error in inspect.getmembers(kafka.errors, inspect.isclass)
    if issubclass(error, KafkaError) and error is not kafka.errors.LogTruncationError
]


# Errors


@pytest.mark.parametrize("error", KAFKA_ERRORS, ids=lambda error: error.__name__)
def test_every_error_of_kafka_python_has_a_verdict_that_the_metrics_know(error: type[KafkaError]) -> None:
    for instance in (error(), error("some text"), KafkaError("wrapped", error()), KafkaError(f"as text: {error()}")):
        verdict = classify(instance)
        assert verdict.code in PUBLISH_ERRORS[verdict.error_class.value]
        assert verdict.detail
        assert "\n" not in verdict.detail
        if verdict.error_class is ErrorClass.BLOCKED:
            assert verdict.remedy == REMEDIES[verdict.code]


def test_every_remedy_is_for_a_code_that_exists() -> None:
    assert set(REMEDIES) <= {code for codes in PUBLISH_ERRORS.values() for code in codes}


@pytest.mark.parametrize(
    ("number", "error_class", "code"),
    [
        (2, "poison", "invalid_record"), (3, "blocked", "unknown_topic"), (6, "transient", "leader_election"),
        (10, "poison", "too_large"), (18, "poison", "too_large"), (19, "transient", "not_enough_replicas"),
        (20, "transient", "not_enough_replicas"), (29, "blocked", "topic_authorization"),
        (31, "blocked", "cluster_authorization"), (32, "poison", "invalid_timestamp"),
        (33, "blocked", "sasl_mechanism"), (35, "blocked", "unsupported_version"),
        (43, "blocked", "unsupported_version"), (44, "poison", "policy_violation"), (47, "fenced", "fenced"),
        (50, "blocked", "transactions_unavailable"), (53, "blocked", "transactional_id_authorization"),
        (58, "blocked", "authentication"), (87, "poison", "invalid_record"), (89, "transient", "quota"),
        (90, "fenced", "fenced"),
    ],
)  # fmt: skip
def test_errors_are_classed_by_what_is_to_be_done(number: int, error_class: str, code: str) -> None:
    verdict = classify(kafka.errors.for_code(number)())
    assert (verdict.error_class.value, verdict.code) == (error_class, code)


@pytest.mark.parametrize(
    ("error", "error_class", "code"),
    [
        (KafkaConnectionError("111 ECONNREFUSED"), "transient", "connection"),
        (OSError(113, "No route to host"), "transient", "connection"),
        (KafkaTimeoutError("Unable to bootstrap"), "transient", "connection"),
        (KafkaConnectionError("Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] unable to"), "blocked", "tls"),
        (KafkaConnectionError("Handshake failed: [SSL: UNEXPECTED_EOF_WHILE_READING] EOF"), "transient", "connection"),
        (KafkaError("Failing batch since it is part of a batch that failed"), "poison", "invalid_record"),
        (ValueError("illegal topic"), "poison", "invalid_record"),
        (RuntimeError("nobody has thought of this"), "transient", "unknown"),
        (KafkaError(), "transient", "unknown"),
    ],
)
def test_errors_without_a_number_are_classed_by_their_kind(error: Exception, error_class: str, code: str) -> None:
    verdict = classify(error)
    assert (verdict.error_class.value, verdict.code) == (error_class, code)


def test_a_detail_says_its_cause_once() -> None:
    authentication = SaslAuthenticationFailedError("SaslAuthenticationFailedError: Authentication failed")
    assert classify(authentication).detail == "SaslAuthenticationFailedError: Authentication failed"
    inner = kafka.errors.TopicAuthorizationFailedError({"b", "a"})
    wrapped = KafkaError("Cannot perform send because a previous request has failed", inner)
    assert classify(wrapped).detail == "TopicAuthorizationFailedError: a, b"
    assert "None" not in classify(kafka.errors.MessageSizeTooLargeError(None)).detail
    assert classify(kafka.errors.UnsupportedSaslMechanismError()).detail.count("UnsupportedSaslMechanism") == 1


# Causes


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def causes(clock: Clock) -> Iterator[Causes]:
    listening = Causes(monotonic=clock)
    logger = logging.getLogger("kafka.net")
    listening.attach()
    yield listening
    logger.removeHandler(listening)


NET = logging.getLogger("kafka.net.connection")
VAGUE = Verdict(ErrorClass.TRANSIENT, "timeout", "no answer in time")


def test_the_cause_is_taken_from_the_errors_in_kafka_pythons_log(causes: Causes, clock: Clock) -> None:
    assert causes.explain(VAGUE) == VAGUE
    NET.error("%s: Connection lost: %s", "<conn>", SaslAuthenticationFailedError("Invalid credentials"))
    assert causes.explain(VAGUE).code == "authentication"
    assert causes.explain(VAGUE).error_class is ErrorClass.BLOCKED
    NET.error("%s: Connection lost: %s", "<conn>", KafkaConnectionError("socket disconnected"))
    assert causes.explain(VAGUE).code == "authentication", "a later loss of the connection says less"
    clock.now += 31
    assert causes.explain(VAGUE).error_class is ErrorClass.TRANSIENT, "it may have been mended meanwhile"
    assert "socket disconnected" in causes.explain(VAGUE).detail


def test_the_cause_is_taken_from_texts_too_and_forgotten_when_all_is_well(causes: Causes) -> None:
    NET.error("Connection failed: Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    assert causes.explain(VAGUE).code == "tls"
    assert causes.explain(VAGUE).detail.startswith("Connection failed")
    causes.forget()
    assert causes.explain(VAGUE) == VAGUE


def test_a_certain_verdict_is_left_as_it_is(causes: Causes) -> None:
    NET.error("Connection lost: %s", SaslAuthenticationFailedError("Invalid credentials"))
    certain = Verdict(ErrorClass.BLOCKED, "unknown_topic", "missing")
    assert causes.explain(certain) is certain


def test_a_log_line_that_cannot_be_formatted_hurts_nobody(causes: Causes, capsys: pytest.CaptureFixture[str]) -> None:
    raising, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        NET.error("%d", "no number")
    finally:
        logging.raiseExceptions = raising
    assert causes.explain(VAGUE) == VAGUE


def test_throttling_is_known_for_as_long_as_the_broker_asked(causes: Causes, clock: Clock) -> None:
    told = [causes.throttled]
    NET.warning("%s: %s throttled by broker (%d ms)", "<conn>", "ProduceResponse_v9", 4_000)
    for later in (3.9, 0.2):
        clock.now += later
        told.append(causes.throttled)
    assert told == [False, True, False]


# Patience


class Answers:
    """Answers as it is told; each question is asked on a thread of its own."""

    def __init__(self) -> None:
        self.answer: Verdict | None = None
        self.asked = threading.Semaphore(0)

    def ask(self) -> Verdict | None:
        self.asked.release()
        return self.answer


class Waiting:
    """A batch of ten that is waited for, on a clock of its own."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.answers = Answers()
        self.troubles: list[Verdict | None] = []
        self.throttled = False
        self.stop = threading.Event()
        self.patience = Patience(
            diagnosis=self.answers,
            throttled=lambda: self.throttled,
            on_trouble=self.troubles.append,
            stop=self.stop,
            monotonic=clock,
        )
        self.patience.start()

    def wait(self, seconds: float, *, decided: int = 0) -> None:
        """Lets the time pass in steps of half a second; a question that was asked is answered before the next."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += 0.5
            assert self.patience.watch(10, decided) is True
            # Not by threading.enumerate(): Python 3.13 takes a thread out of it a moment before it is dead.
            if self.patience._asking is not None:
                self.patience._asking.join()


@pytest.fixture
def waiting(clock: Clock) -> Waiting:
    return Waiting(clock)


def test_a_producer_that_stands_still_while_kafka_is_well_is_stuck(waiting: Waiting) -> None:
    with pytest.raises(PublisherError) as raised:
        waiting.wait(60)
    assert raised.value.verdict.code == "stuck"
    assert 15 <= waiting.clock.now - 1000 <= 30


def test_no_length_of_an_outage_makes_a_producer_stuck(waiting: Waiting) -> None:
    waiting.answers.answer = Verdict(ErrorClass.TRANSIENT, "not_enough_replicas", "two of three")
    waiting.wait(3_600)
    assert waiting.troubles[-1] == waiting.answers.answer
    waiting.wait(5, decided=10)
    assert waiting.troubles[-1] is None


def test_what_blocks_ends_the_wait_at_once(waiting: Waiting) -> None:
    waiting.answers.answer = Verdict(ErrorClass.BLOCKED, "unknown_topic", "missing")
    with pytest.raises(PublisherError) as raised:
        waiting.wait(10)
    assert raised.value.verdict.code == "unknown_topic"


def test_slow_progress_and_quotas_are_no_standing_still(waiting: Waiting) -> None:
    for decided in range(9):
        waiting.wait(12, decided=decided)
    waiting.throttled = True
    waiting.wait(600, decided=8)
    assert waiting.troubles[-1] is not None
    assert waiting.troubles[-1].code == "quota"


def test_it_is_not_asked_at_all_while_records_are_decided(waiting: Waiting) -> None:
    for decided in range(10):
        waiting.wait(1, decided=decided)
    assert not waiting.answers.asked.acquire(blocking=False)


def test_a_wish_to_stop_ends_the_wait_after_a_moment_for_what_is_under_way(waiting: Waiting) -> None:
    waiting.stop.set()
    waiting.wait(1)
    waiting.clock.now += 1.5
    assert waiting.patience.watch(10, 0) is False


# Partitions, positions, options, repeats


class OneTopic:
    """As much of a cluster's metadata as the partitioner looks at."""

    def __init__(self, count: int) -> None:
        self._numbers = set(range(count))

    def topics(self) -> set[str]:
        return {"topic"}

    def partitions_for_topic(self, _: str) -> set[int]:
        return self._numbers

    available_partitions_for_topic = partitions_for_topic


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=30), st.integers(1, 300))
def test_a_key_goes_where_kafkas_own_partitioner_sends_it(keys: list[bytes], count: int) -> None:
    partitions, theirs = Partitions(), DefaultPartitioner()
    for key in (*keys, *keys):
        assert partitions.of(key, "id", count) == theirs.partition("topic", key, key, b"", b"", OneTopic(count))


def test_records_without_a_key_are_spread_and_each_goes_to_the_same_place_again() -> None:
    partitions = Partitions()
    places = {event_id: partitions.of(None, event_id, 8) for event_id in map(str, range(400))}
    assert set(places.values()) == set(range(8))
    assert places == {event_id: partitions.of(None, event_id, 8) for event_id in places}


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([], []),
        ([5], [(5, 5)]),
        ([1, 2, 3], [(1, 3)]),
        ([1, 3, 4, 9], [(1, 1), (3, 4), (9, 9)]),
    ],
)
def test_positions_are_told_as_ranges(positions: list[int], expected: list[tuple[int, int]]) -> None:
    assert ranges(positions) == expected


@given(st.sets(st.integers(1, 400)))
def test_ranges_hold_exactly_the_positions(positions: set[int]) -> None:
    found = ranges(sorted(positions))
    assert {position for first, last in found for position in range(first, last + 1)} == positions


def test_the_settings_are_options_of_kafka_python_and_may_be_overridden_but_for_the_guarantee() -> None:
    from kafka import KafkaProducer

    assert set(PRODUCER) <= set(KafkaProducer.DEFAULT_CONFIG)
    assert refused_producer_options({"compression_type": "gzip", "linger_ms": 20, "batch_size": 1_000}) == {}
    assert set(refused_producer_options({"acks": 1, "retries": 3, "transactional_id": "x"})) == {
        "acks", "retries", "transactional_id",
    }  # fmt: skip


def test_a_line_that_repeats_itself_is_logged_once_in_a_while_with_its_number(clock: Clock) -> None:
    repeats = Repeats(monotonic=clock)

    def warn(number: int) -> str | None:
        record = logging.LogRecord("kafka.x", logging.WARNING, "", 0, "attempt %d failed", (number,), None)
        return record.getMessage() if repeats.filter(record) else None

    told = [text for number in range(100) if (text := warn(number))]
    clock.now += 11
    told.append(warn(100) or "")
    assert told == ["attempt 0 failed", "attempt 100 failed (99 more like this)"]
    ours = logging.LogRecord("tie_forwarder", logging.WARNING, "", 0, "event", None, None)
    ours.keys = {}
    assert all(repeats.filter(ours) for _ in range(3))


# Refusals


def record(destination: str = "detection", value: bytes = b"x" * 4_000) -> Record:
    return Record(destination, "00000000-0000-4000-8000-000000000001", b"k", value, (("ce_dxltopic", b"/t"),), 1)


def letters_of(first: Record, code: str, *, letter_bytes: int | None = None) -> Iterator[Record]:
    letter = dead_letter_of(first, Refusal(code, "Kafka says so", letter_bytes))
    while letter is not None:
        yield letter
        letter = dead_letter_of(letter, Refusal(code, "Kafka says so", letter_bytes))


@pytest.mark.parametrize("size", [0, 1, 63, 1_000, 60_000, 1_100_000, 9_000_000])
def test_what_is_too_large_is_cut_until_it_is_empty_and_then_given_up(size: int) -> None:
    letters = list(letters_of(record(value=b"x" * size), "too_large"))
    sizes = [len(letter.value) for letter in letters]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0
    assert len(sizes) <= 10
    assert {dict(letter.headers)["original_size"] for letter in letters} == {str(size).encode()}
    assert len({dict(letter.headers)["sha256"] for letter in letters}) == 1
    assert all(dict(letter.headers)["reason"] == b"refused_too_large" for letter in letters)
    assert {dict(letter.headers)["detail"] for letter in letters} == {b"Kafka says so"}


@pytest.mark.parametrize("size", [1_000, 60_000, 1_100_000])
@pytest.mark.parametrize("letter_bytes", [700, 1_100, 65_000, 1_048_588, 5_000_000])
def test_what_is_too_large_is_cut_once_to_what_the_topic_of_the_dead_letters_takes(
    size: int, letter_bytes: int
) -> None:
    letter = next(letters_of(record(value=b"x" * size), "too_large", letter_bytes=letter_bytes))
    weighs = batch_bytes(None, len(letter.value), letter.headers)
    assert weighs <= letter_bytes
    assert len(letter.value) == size or letter_bytes - weighs <= 16, "no byte is cut without need"


def test_a_letter_that_is_refused_although_it_should_fit_is_quartered() -> None:
    letters = list(letters_of(record(value=b"x" * 60_000), "too_large", letter_bytes=100_000))
    assert [len(letter.value) for letter in letters][:3] == [60_000, 15_000, 3_750]


def test_a_dead_letter_that_is_cut_keeps_its_first_reason() -> None:
    first = ("reason", b"not_json"), ("detail", b"at byte 3")
    letter = Record("dead_letter", "id", None, b"x" * 4_000, first, 1)
    details = [dict(each.headers)["detail"] for each in letters_of(letter, "too_large")]
    assert set(details) == {b"Kafka says so; first: not_json: at byte 3"}


def test_what_is_refused_for_another_reason_keeps_its_bytes_and_is_given_up_when_refused_again() -> None:
    letters = list(letters_of(record(), "invalid_record"))
    assert [letter.value for letter in letters] == [record().value]
    assert dict(letters[0].headers)["reason"] == b"refused_invalid"


# What the parent knows


def status(*, connected: bool = True, waiting: float = 0.0, trouble: Verdict | None = None) -> dict[str, Any]:
    told = None if trouble is None else fields(trouble)
    return {"connected": connected, "waiting_seconds": waiting, "trouble": told, "progress": 1, "batch_rows": 200}


def fields(verdict: Verdict) -> dict[str, str]:
    from tie_forwarder.publisher.parent import verdict_fields

    return verdict_fields(verdict)


BLOCKED = Verdict(ErrorClass.BLOCKED, "authentication", "wrong", "mend it")
AWAY = Verdict(ErrorClass.TRANSIENT, "connection", "refused", "")


@pytest.fixture
def watch(clock: Clock) -> PublisherWatch:
    return PublisherWatch(first_role="publishing", monotonic=clock, now=clock)


def code(watch: PublisherWatch) -> str | None:
    return None if watch.trouble is None else watch.trouble.code


def test_what_ended_a_process_is_shown_until_another_has_been_well_for_a_while(
    watch: PublisherWatch, clock: Clock
) -> None:
    watch.on_error(fields(BLOCKED))
    watch.started()
    for _ in range(4):
        watch.on_status(status())
        assert code(watch) == "authentication"
        clock.now += 1
    clock.now += 2
    watch.on_status(status())
    assert code(watch) is None


def test_what_ended_a_process_is_over_when_records_are_published(watch: PublisherWatch) -> None:
    watch.on_error(fields(BLOCKED))
    watch.started()
    watch.on_published()
    assert code(watch) is None


def test_a_time_out_hides_nothing_that_a_person_must_mend_but_a_dead_broker_does(watch: PublisherWatch) -> None:
    watch.on_error(fields(BLOCKED))
    for vague in ("timeout", "unknown"):
        watch.on_error(fields(VAGUE._replace(code=vague)))
        watch.on_status(status(connected=False, trouble=VAGUE._replace(code=vague)))
        assert code(watch) == "authentication"
    watch.on_status(status(connected=False, trouble=AWAY))
    assert code(watch) == "connection"


def test_a_trouble_that_a_living_process_has_overcome_is_over_at_once(watch: PublisherWatch) -> None:
    watch.on_status(status(connected=False, trouble=AWAY))
    watch.on_status(status(waiting=1.0))
    assert code(watch) == "connection"
    watch.on_status(status())
    assert code(watch) is None


def test_a_blocked_publisher_is_started_slowly_and_others_soon(watch: PublisherWatch) -> None:
    backoff = PublisherBackoff(watch=watch, uniform=lambda low, high: (low + high) / 2)
    delays = [backoff.next_seconds() for _ in range(8)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    backoff.reset()
    watch.on_error(fields(BLOCKED))
    assert backoff.next_seconds() >= 5.0
    watch.on_published()
    assert backoff.next_seconds() < 1.0
