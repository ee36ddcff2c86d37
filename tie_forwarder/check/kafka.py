"""Kafka: servers and login, the cluster, topics, transactions and rights, and its clock against this machine's."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any

from tie_forwarder.check import topics
from tie_forwarder.check.fabric import addresses_of
from tie_forwarder.check.findings import Finding, State, Step, Trying, failed, not_tried, ok, warning
from tie_forwarder.config.producer_options import decodable_codecs
from tie_forwarder.kafka.admin import Inquiry, Topic
from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, PublisherError, Verdict
from tie_forwarder.kafka.handshake import shake_hands
from tie_forwarder.kafka.producer import TRANSACTION_TIMEOUT_MS

CODE = "clock.kafka"
SUBJECT = "Kafka's controller"
HIDDEN_REMEDY = "grant this user Describe on the cluster, or compare the clocks by hand"
UNTOLD_REMEDY = "compare the clocks by hand"
_TOLERANCE_SECONDS = 5.0
_MOST_AHEAD_SECONDS = 3_600.0
"""What brokers take by default (message.timestamp.after.max.ms)."""

_REMEDY = "set the clock of this machine or of the brokers, and keep both by NTP"


def judge(ours: float, theirs: float, *, waited: float) -> Finding:
    """Both clocks in seconds since the epoch; `waited` is how long the answer took, within which theirs was read."""
    ahead = ours - theirs
    text = f"this clock is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"
    if ahead > _MOST_AHEAD_SECONDS:
        return failed(CODE, SUBJECT, f"{text}: brokers refuse the records", _REMEDY)
    if abs(ahead) > _TOLERANCE_SECONDS + waited:
        return warning(CODE, SUBJECT, f"{text}: members of a group take each other for late", _REMEDY)
    return ok(CODE, SUBJECT, f"they agree within {max(abs(ahead), 0.1):.1f} s")


_LONGEST = "transaction.max.timeout.ms"
_UNAUTHORIZED = "transactional_id_authorization"


def transactions(inquiry: Inquiry, *, group: str, replay: str) -> Iterator[Step]:
    """The lines on the group's transactional id, and on the one of replays. Fences nobody."""
    yield Trying("transactions.ability", group)
    ability = _ability(inquiry, group)
    yield ability
    if ability.state is State.FAILED:
        return
    yield Trying("transactions.rights", group)
    yield _rights(inquiry, group)
    yield Trying("transactions.replay", replay)
    rights = _rights(inquiry, replay)
    # The service itself works without it.
    state = State.WARNING if rights.state is State.FAILED else rights.state
    yield rights._replace(code="transactions.replay", state=state)


def _ability(inquiry: Inquiry, group: str) -> Finding:
    code = "transactions.ability"
    try:
        state = inquiry.transaction_state(group)
    except PublisherError as error:
        if error.verdict.code == _UNAUTHORIZED:
            return not_tried(code, group, "this user may not see the transactional id")
        return failed(code, group, error.verdict.detail, REMEDIES["transactions_unavailable"])
    longest = _longest_ms(inquiry)
    if longest is not None and longest < TRANSACTION_TIMEOUT_MS:
        text = f"{_LONGEST}={longest}, and the forwarder asks for {TRANSACTION_TIMEOUT_MS}"
        return failed(code, group, text, f"set {_LONGEST} of the brokers to {TRANSACTION_TIMEOUT_MS} or more")
    if state is None:
        return ok(code, group, "the coordinator answers")
    known = f"its last transaction is {state}" if state else "nobody has used the id yet"
    return ok(code, group, f"the coordinator answers; {known}")


def _longest_ms(inquiry: Inquiry) -> int | None:
    """None where Kafka does not tell it."""
    with suppress(PublisherError):
        value = inquiry.broker_settings(inquiry.cluster().controller).get(_LONGEST)
        return None if value is None else int(value)
    return None


def _rights(inquiry: Inquiry, transactional_id: str) -> Finding:
    code = "transactions.rights"
    remedy = f"grant this user Write and Describe on the transactional id {transactional_id}"
    try:
        inquiry.try_to_write(transactional_id)
    except PublisherError as error:
        if error.verdict.code == _UNAUTHORIZED:
            return failed(code, transactional_id, "this user lacks Write or Describe on it", remedy)
        return failed(code, transactional_id, error.verdict.detail, error.verdict.remedy or remedy)
    return ok(code, transactional_id, "this user has Write and Describe")


_NOT_ALLOWED = ("topic_authorization", "cluster_authorization")
_LOGIN_CODES = ("authentication", "sasl_mechanism")
_NAME_SECONDS = 3.0
_MOST_SECONDS = 6.0
"""Within which all servers must have answered their handshakes, which are made side by side."""


def steps(settings: dict[str, Any]) -> Iterator[Step]:
    """`connection` is kafka-python's; `topics` are names; `group` and `replay` are transactional ids.

    `group` is None with at_least_once; `codec` is that of the producer, or None; `create` says whether missing topics
    are to be made; `memory_seconds` is how far back a member may read; `largest` is the largest batch of each topic.
    """
    logging.getLogger("kafka").addHandler(logging.NullHandler())  # what it has to say stands in the findings
    connection = settings["connection"]
    welcome = yield from _servers(connection)
    if not welcome:
        return
    yield Trying("kafka.cluster", "cluster")
    try:
        with Inquiry({**connection, "bootstrap_servers": welcome}) as inquiry:
            yield from _cluster(inquiry, connection)
            yield from _topics(inquiry, settings)
            if settings["group"] is not None:
                yield from transactions(inquiry, group=settings["group"], replay=settings["replay"])
            yield from _clock(inquiry)
    except PublisherError as error:
        yield failed("kafka.cluster", "cluster", error.verdict.detail, error.verdict.remedy)


def _servers(connection: dict[str, Any]) -> Generator[Step, None, list[str]]:
    """Yields the lines of the bootstrap servers; returns those that welcome us. One that does is enough."""
    servers = connection["bootstrap_servers"]
    yield Trying("kafka.server", servers[0])
    verdicts = _shaken(connection, servers)
    welcome = [server for server in servers if verdicts[server] is None]
    say = warning if welcome else failed
    for server in servers:
        verdict = verdicts[server]
        if verdict is None or verdict.code in _LOGIN_CODES:
            yield ok("kafka.server", server, _reached(connection))
        else:
            yield say("kafka.server", server, _without(server, verdict.detail), verdict.remedy)
    for server, verdict in verdicts.items():
        if verdict is None and not _logs_in(connection):
            continue
        if verdict is None:
            yield ok("kafka.login", server, f"as {connection['sasl_plain_username']} by {connection['sasl_mechanism']}")
        elif verdict.code in _LOGIN_CODES:
            yield say("kafka.login", server, _without(server, verdict.detail), verdict.remedy)
        elif _logs_in(connection):
            yield not_tried("kafka.login", server, "the server was not reached")
    return welcome


def _shaken(connection: dict[str, Any], servers: Sequence[str]) -> dict[str, Verdict | None]:
    """The verdict on each server."""
    found: dict[str, Verdict | None] = {}

    def shake(server: str) -> None:
        found[server] = _unknown_name(server) or shake_hands(connection, server)

    threads = [threading.Thread(target=shake, args=(server,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _MOST_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {server: found.get(server, _silent(server)) for server in servers}


def _unknown_name(server: str) -> Verdict | None:
    host = server.rpartition(":")[0].strip("[]")
    found = addresses_of(host, seconds=_NAME_SECONDS)
    if not isinstance(found, str):
        return None
    return Verdict(ErrorClass.TRANSIENT, "connection", f"{server}: {host} is not found: {found}", _MEND_NAME)


def _silent(server: str) -> Verdict:
    return Verdict(ErrorClass.TRANSIENT, "connection", f"{server}: no answer in time", REMEDIES["connection"])


def _cluster(inquiry: Inquiry, connection: dict[str, Any]) -> Iterator[Step]:
    brokers = inquiry.brokers()
    others = [broker for broker in brokers if broker not in connection["bootstrap_servers"]]
    for broker, verdict in _shaken(connection, others).items():
        yield Trying("kafka.broker", broker)
        if verdict is None:
            yield ok("kafka.broker", broker, _reached(connection))
        else:
            yield failed("kafka.broker", broker, _without(broker, verdict.detail), _ADVERTISED)
    yield Trying("kafka.cluster", "cluster")
    yield ok("kafka.cluster", "cluster", f"id {inquiry.cluster().id}; brokers: {', '.join(brokers)}")


def _topics(inquiry: Inquiry, settings: dict[str, Any]) -> Iterator[Step]:
    names = settings["topics"]
    needs = topics.Needs(
        exactly_once=settings["group"] is not None,
        memory_seconds=settings["memory_seconds"],
        codec=settings["codec"],
        decodable=decodable_codecs(),
        largest=settings["largest"],
    )
    yield Trying("topic.exists", names[0])
    found = inquiry.topics(names)
    if settings["create"]:
        missing = [name for name, topic in found.items() if topic.missing or topic.hidden]
        yield from _create(inquiry, missing)
        found |= inquiry.topics(missing) if missing else {}
    for name in names:
        yield from topics.judge(name, found.get(name, _MISSING), needs)


def _create(inquiry: Inquiry, names: Sequence[str]) -> Iterator[Step]:
    for name in names:
        yield Trying("topic.created", name)
        try:
            inquiry.create(name)
        except PublisherError as error:
            remedy = "create it as an administrator"
            if error.verdict.code in _NOT_ALLOWED:
                remedy += ", or grant this user Create on it"
            yield failed("topic.created", name, error.verdict.detail, remedy)
        else:
            yield ok("topic.created", name, "created, with the cluster's own number of partitions and replicas")


def _clock(inquiry: Inquiry) -> Iterator[Step]:
    yield Trying(CODE, SUBJECT)
    before = time.time()
    try:
        theirs = inquiry.controller_clock_ms()
    except PublisherError as error:
        if error.verdict.code == "cluster_authorization":
            why = "Kafka tells its time only to users who may Describe the cluster"
            yield not_tried(CODE, SUBJECT, why, HIDDEN_REMEDY)
        else:
            yield not_tried(CODE, SUBJECT, error.verdict.detail, UNTOLD_REMEDY)
        return
    after = time.time()
    if theirs is None:
        yield not_tried(CODE, SUBJECT, "this Kafka tells its time to nobody", UNTOLD_REMEDY)
    else:
        yield judge((before + after) / 2, theirs / 1000, waited=after - before)


def _logs_in(connection: dict[str, Any]) -> bool:
    return str(connection["security_protocol"]).startswith("SASL")


def _reached(connection: dict[str, Any]) -> str:
    return "takes a connection" + (" by TLS" if connection["security_protocol"].endswith("SSL") else "")


def _without(server: str, detail: str) -> str:
    return detail.removeprefix(f"{server}: ")


_MEND_NAME = "correct the name in kafka.bootstrap_servers, or see to the name servers of this machine"
_MISSING = Topic(True, False, 0, [], [], None, {})
_ADVERTISED = "see that advertised.listeners of this broker names what can be reached from here, and that it runs"
