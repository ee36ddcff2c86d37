"""The publisher process: startup, the delivery that the configuration asks for, the status each second, and the end.

Threads: main publishes; `status` reports, also while main is held up in kafka-python, and ends the process when a call
has overrun its deadline; `control` listens to the parent. The process ends by `os._exit`, because kafka-python's
threads may not end.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tie_forwarder.backoff import Backoff
from tie_forwarder.group.batch_size import FIRST_ROWS, BatchSize
from tie_forwarder.group.commands import Fenced, Gap, Leaving
from tie_forwarder.group.member import Member, Memory, Rules
from tie_forwarder.kafka.admin import COMPACTED_REMEDY, TopicSettings
from tie_forwarder.kafka.deadline import Deadline
from tie_forwarder.kafka.diagnosis import Diagnosis, Seat
from tie_forwarder.kafka.errors import Causes, ErrorClass, PublisherError, Verdict
from tie_forwarder.kafka.handshake import wait_for_kafka
from tie_forwarder.kafka.limits import Limits
from tie_forwarder.kafka.producer import PRODUCER, Partitions, Producer
from tie_forwarder.kafka.schema_ids import SchemaIds
from tie_forwarder.kafka.tail import Tail
from tie_forwarder.kafka.transactions import Transactions
from tie_forwarder.processes.link import ParentLink
from tie_forwarder.processes.log import log, log_exception, stacks
from tie_forwarder.publisher.at_least_once import AtLeastOnce, Delivery
from tie_forwarder.publisher.exactly_once import ExactlyOnce
from tie_forwarder.publisher.listed_reader import ListedReader, UnlistedKind
from tie_forwarder.publisher.parent import Barriers, Grants, LinkReports, Repeats, verdict_fields
from tie_forwarder.publisher.patience import Patience
from tie_forwarder.records.record import Row

_STATUS_SECONDS = 1.0
_EXIT_AFTER_ERROR = 3
_VAGUE = ("timeout", "connection", "unknown", "stuck", "transactions_unavailable", "leader_election")
_NAMELESS = ("topic_authorization", "cluster_authorization", "unknown_topic")


class PublisherProcess:
    """Everything of one publisher process."""

    def __init__(self, *, link: ParentLink, config: dict[str, Any]) -> None:
        self._link = link
        self._config = config
        self._connection: dict[str, Any] = config["connection"]
        self._topics: dict[str, str] = config["topics"]
        self._stop = threading.Event()
        self._grants = Grants(gap=Gap(*config["gap"]))
        self._barriers = Barriers()
        self._deadline = Deadline()
        self._batch_size = BatchSize(config["batch_rows"] or FIRST_ROWS)
        self._reports = LinkReports(link)
        self._trouble: Verdict | None = None
        self._connected = False
        self._busy_since: float | None = None
        self._progress = 0
        self._causes = Causes()
        self._repeats = Repeats()
        topics = sorted(set(self._topics.values()))
        self._topic_settings = TopicSettings(
            connection=self._connection, topics=topics, on_compacted=self._on_compacted
        )
        self._limits = Limits(settings=self._topic_settings, options={**PRODUCER, **config["options"]})
        self._diagnosis = Diagnosis(
            connection=self._connection,
            topics=topics,
            rights=["WRITE", "READ"] if config["delivery"] == "exactly_once" else ["WRITE"],
            settings=self._topic_settings,
            causes=self._causes,
        )
        self._patience = Patience(
            diagnosis=self._diagnosis,
            throttled=lambda: self._causes.throttled,
            on_trouble=self._note,
            stop=self._stop,
        )
        self._partitions = Partitions()
        self._schema_ids = SchemaIds(registry=config["registry"], topics=self._topics, stop=self._stop)

    def run(self) -> int:
        """Publishes until the parent says stop; returns the exit code."""
        self._causes.attach()
        self._link.listen(self._on_control)
        threading.Thread(target=self._report_status, name="status", daemon=True).start()
        self._schema_ids.start()
        try:
            self._publish()
        except Fenced as fenced:
            self._reports.error(Verdict(ErrorClass.FENCED, "fenced", f"another member has taken over: {fenced}"))
            return _EXIT_AFTER_ERROR
        except UnlistedKind as unlisted:
            log(logging.INFO, "publisher.unlisted", kind=unlisted.destination, effect="it is published all the same")
            self._reports.unlisted(unlisted.destination)
            return _EXIT_AFTER_ERROR
        except PublisherError as error:
            self._report_error(error.verdict)
            return _EXIT_AFTER_ERROR
        except Leaving:
            return 0
        return 0

    def _publish(self) -> None:
        if not wait_for_kafka(self._connection, stop=self._stop, on_trouble=self._note, on_progress=self._on_progress):
            return
        self._look_at_topics()
        try:
            if self._config["delivery"] == "exactly_once":
                self._publish_exactly_once()
            else:
                self._publish_at_least_once()
        finally:
            # The last word: it tells the parent whether a batch was under way.
            self._send_status()

    def _look_at_topics(self) -> None:
        """A missing topic or right is told at the start, also while no event comes. Raises PublisherError.

        The tail reads every partition, so that it has to wait until each has a leader.
        """
        backoff = Backoff(first_seconds=0.5, most_seconds=5.0)
        while not self._stop.is_set():
            self._on_progress()
            found = self._diagnosis.ask()
            if found is not None and found.error_class is ErrorClass.BLOCKED:
                raise PublisherError(found)
            if found is None or found.code != "leader_election" or self._config["delivery"] != "exactly_once":
                return
            self._note(found)
            self._stop.wait(backoff.next_seconds())

    def _publish_exactly_once(self) -> None:
        topics = sorted(set(self._topics.values()))
        resume: dict[str, Any] | None = self._config["resume"]
        rules = Rules(takeover_after=self._config["takeover_after_seconds"])
        member = Member(
            name=self._config["member"],
            rules=rules,
            memory=Memory() if resume is None else Memory(**resume["memory"]),
            monotonic=time.monotonic,
            now_ms=lambda: time.time_ns() // 1_000_000,
            uniform=random.uniform,
        )
        ExactlyOnce(
            member=member,
            tail=Tail(connection=self._connection, topics=topics),
            reader=self._open_reader(),
            grants=self._grants,
            barriers=self._barriers,
            batch_size=self._batch_size,
            seat=Seat(connection=self._connection, group=self._config["group"], deadline=self._deadline),
            reports=self._reports,
            make_transactions=self._make_transactions,
            start=None if resume is None else (_positions(resume["positions"]), resume["topic_ids"]),
            margin_ms=int(self._config["margin_seconds"] * 1000),
            live_ms=int(rules.live_seconds * 1000),
            stop=self._stop,
            on_alive=self._on_alive,
        ).run()

    def _publish_at_least_once(self) -> None:
        delivery = Delivery(
            make_producer=self._make_producer,
            on_published=self._on_published,
            on_refused=self._reports.refused,
            watch=self._watch,
        )
        AtLeastOnce(
            reader=self._open_reader(),
            grants=self._grants,
            batch_size=self._batch_size,
            delivery=delivery,
            on_corrupt=self._reports.corrupt,
            on_open=self._on_open,
            on_batch=self._on_batch,
            on_turn=self._on_progress,
        ).run()

    def _open_reader(self) -> ListedReader:
        file = self._config["spool_identity"]
        reader = ListedReader(
            Path(self._config["spool_directory"]),
            destinations=self._topics,
            identity=None if file is None else (file[0], file[1]),
        )
        reader.open()
        return reader

    def _make_producer(self, transactional_id: str | None = None) -> Producer:
        return Producer(
            connection=self._connection,
            options=self._config["options"],
            topics=self._topics,
            member=self._config["member"],
            partitions=self._partitions,
            prefixes=self._schema_ids.wait(),
            limits=self._limits,
            transactional_id=transactional_id,
        )

    def _make_transactions(self) -> Transactions:
        producer = self._make_producer(self._config["group"])
        return Transactions(
            producer=producer,
            deadline=self._deadline,
            keep_waiting=self._keep_waiting,
            watch=self._watch,
            throttled=lambda: self._causes.throttled,
        )

    def _on_progress(self) -> None:
        """The main thread has come round, or waits for something that it will not wait for without a limit."""
        self._progress += 1

    def _watch(self, total: int, decided: int) -> bool:
        self._on_progress()
        return self._patience.watch(total, decided)

    def _keep_waiting(self) -> bool:
        self._on_progress()
        return not self._stop.is_set()

    def _on_alive(self, busy: bool, trouble: Verdict | None) -> None:
        """The exactly-once delivery has come round: connected, and with a transaction under way or not."""
        self._on_progress()
        self._schema_ids.check()
        self._connected = True
        self._busy_since = time.monotonic() if busy else None
        self._note(trouble)
        self._patience.start()
        if not busy:
            self._causes.forget()

    def _on_open(self) -> None:
        self._connected = True
        self._note(None)

    def _on_batch(self) -> None:
        self._busy_since = time.monotonic()
        self._patience.start()
        self._note(None)

    def _on_published(self, rows: Sequence[Row]) -> None:
        if rows:
            # What held the batch up is over, also where no further one comes and would say so.
            self._note(None)
            self._causes.forget()
            self._reports.published(
                [row.position for row in rows], time.monotonic() - (self._busy_since or time.monotonic())
            )
        self._busy_since = None

    def _on_compacted(self, topics: Sequence[str]) -> None:
        if self._config["delivery"] == "exactly_once":
            for topic in topics:
                log(logging.WARNING, "publisher.output.compacted", topic=topic, remedy=COMPACTED_REMEDY)
            self._reports.compacted(topics, COMPACTED_REMEDY)

    def _report_error(self, verdict: Verdict) -> None:
        """Tells the parent why this process ends: the cause behind a mere timeout, the topic of a missing right."""
        if verdict.error_class is ErrorClass.BLOCKED and verdict.code in _NAMELESS:
            found = self._diagnosis.ask()
            if found is not None and found.error_class is ErrorClass.BLOCKED:
                verdict = found
        elif verdict.code == "transactional_id_authorization":
            verdict = verdict._replace(detail=f"this user may not use the transactional id {self._config['group']}")
        elif verdict.error_class is ErrorClass.TRANSIENT and verdict.code in _VAGUE:
            verdict = self._diagnosis.ask() or self._causes.explain(_well_without_transactions(verdict))
        self._reports.error(verdict)

    def _report_status(self) -> None:
        while True:
            # Again and again, because a new log level comes with new handlers.
            self._repeats.attach()
            overrun = self._deadline.overrun()
            if overrun:
                detail = f"{overrun} has not ended in time"
                log(logging.ERROR, "publisher.stalled", detail=detail, stacks=stacks())
                self._send_status()
                self._report_error(Verdict(ErrorClass.TRANSIENT, "timeout", detail))
                os._exit(_EXIT_AFTER_ERROR)
            self._send_status()
            time.sleep(_STATUS_SECONDS)

    def _send_status(self) -> None:
        busy = self._busy_since
        trouble = self._trouble or self._schema_ids.trouble
        self._reports.status(
            {
                "connected": self._connected,
                "waiting_seconds": 0.0 if busy is None else time.monotonic() - busy,
                "trouble": None if trouble is None else verdict_fields(trouble),
                "progress": self._progress,
                "batch_rows": self._batch_size.next_process_rows,
            }
        )

    def _note(self, trouble: Verdict | None) -> None:
        self._trouble = trouble

    def _on_control(self, line: dict[str, Any]) -> None:
        if line["verb"] == "grant":
            self._grants.raise_to(line["through"])
        elif line["verb"] == "gap":
            self._grants.note_gap(Gap(line["number"], line["open"]))
        elif line["verb"] == "barrier":
            self._barriers.answer(line["number"])
        elif line["verb"] == "stop":
            self._stop.set()
            self._grants.close()


def _positions(resumed: dict[str, dict[str, int]]) -> dict[str, dict[int, int]]:
    """Undoes what JSON does to the numbers of partitions."""
    return {topic: {int(number): offset for number, offset in by.items()} for topic, by in resumed.items()}


def _well_without_transactions(verdict: Verdict) -> Verdict:
    """Where the brokers and topics are well and only the coordinator does not answer, a person must look at it."""
    if verdict.code == "transactions_unavailable":
        return verdict._replace(error_class=ErrorClass.BLOCKED)
    return verdict


def main() -> None:
    """The entry of `python -m tie_forwarder.publisher`; never returns."""
    link, config = ParentLink.attach()
    code = 1
    try:
        code = PublisherProcess(link=link, config=config).run()
    except Exception:  # noqa: BLE001 - the process's edge: the log tells the parent, the exit code too
        log_exception("publisher.failed")
    os._exit(code)
