"""Transactions: whether the cluster can do them, and whether this user may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from tie_forwarder.publisher.errors import REMEDIES, PublisherError
from tie_forwarder.publisher.inquiry import Inquiry
from tie_forwarder.publisher.settings import TRANSACTION_TIMEOUT_MS
from tie_forwarder.trial.finding import Finding, State, Step, Trying, failed, not_tried, ok

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
