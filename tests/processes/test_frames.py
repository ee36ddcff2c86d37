"""Frames survive any cut of the pipe, and what is no frame is refused as such and never as something else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.payloads import JSON, message
from tie_forwarder.events.message import Message
from tie_forwarder.processes.frames import (
    MOST_BYTES,
    BrokenFrame,
    Decoder,
    Kind,
    decode_messages,
    encode,
    encode_json,
    encode_messages,
)
from tie_forwarder.receiver.process import BATCH_BYTES, QUEUE_BYTES

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
MESSAGES = st.lists(
    st.builds(Message, TEXT, TEXT, TEXT, TEXT, st.binary(max_size=300), st.integers(-(2**63), 2**63 - 1)), max_size=5
)
FRAMES = st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=60)), max_size=6)


def fed(pieces: list[bytes]) -> list[tuple[Kind, bytes]]:
    decoder = Decoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


@given(MESSAGES)
def test_messages_come_back_as_they_went(messages: list[Message]) -> None:
    [(kind, body)] = fed([encode_messages(messages)])
    assert kind is Kind.MESSAGES
    assert decode_messages(body) == messages


@given(st.sampled_from(Kind), JSON)
def test_json_comes_back_as_it_went(kind: Kind, value: Any) -> None:
    [(found, body)] = fed([encode_json(kind, value)])
    assert found is kind
    assert json.loads(body) == value


@given(FRAMES)
def test_a_cut_at_any_byte_gives_the_same_frames(frames: list[tuple[Kind, bytes]]) -> None:
    stream = b"".join(encode(kind, body) for kind, body in frames)
    for cut in range(len(stream) + 1):
        assert fed([stream[:cut], stream[cut:]]) == frames
    assert fed([stream[at : at + 1] for at in range(len(stream))]) == frames


def test_frames_that_are_not_consumed_at_once_are_not_given_twice() -> None:
    decoder = Decoder()
    first = decoder.feed(encode(Kind.STATUS, b"1") + encode(Kind.STATUS, b"2"))
    assert next(first) == (Kind.STATUS, b"1")
    first.close()  # type: ignore[attr-defined]
    assert list(decoder.feed(b"")) == [(Kind.STATUS, b"2")]


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=80), max_size=5))
def test_garbage_on_the_pipe_is_a_broken_frame_and_nothing_else(pieces: list[bytes]) -> None:
    try:
        frames = fed(pieces)
    except BrokenFrame:
        return
    assert b"".join(pieces).startswith(b"".join(encode(kind, body) for kind, body in frames))


@settings(max_examples=300)
@given(MESSAGES, st.data())
def test_a_damaged_batch_is_a_broken_frame_or_a_batch_and_nothing_else(messages: list[Message], data: Any) -> None:
    body = bytearray(encode_messages(messages)[5:])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(start + 6, len(body))))
        body[start:end] = data.draw(st.binary(max_size=6))
    try:
        decoded = decode_messages(bytes(body))
    except BrokenFrame:
        return
    assert all(isinstance(part.payload, bytes) for part in decoded)


@given(st.binary(max_size=200))
def test_garbage_in_a_batch_is_a_broken_frame_or_a_batch_and_nothing_else(body: bytes) -> None:
    with contextlib.suppress(BrokenFrame):
        assert sum(len(part.payload) for part in decode_messages(body)) <= len(body)


def test_every_cut_of_a_batch_is_a_broken_frame_except_between_messages() -> None:
    first, both = encode_messages([message()])[5:], encode_messages([message(), message(b"")])[5:]
    for cut in range(1, len(both)):
        if cut == len(first):
            assert decode_messages(both[:cut]) == [message()]
        else:
            with pytest.raises(BrokenFrame):
                decode_messages(both[:cut])


@pytest.mark.parametrize("head", [b"\0\0\0\1\0", b"\0\0\0\1\xff", b"\xff\xff\xff\xff\2"])
def test_an_unknown_kind_and_an_absurd_length_are_refused_before_the_body_comes(head: bytes) -> None:
    with pytest.raises(BrokenFrame, match="none of ours"):
        fed([head])


def test_what_stood_before_the_broken_frame_is_given_first() -> None:
    frames = Decoder().feed(encode(Kind.STATUS, b"{}") + b"\0\0\0\0\xee")
    assert next(frames) == (Kind.STATUS, b"{}")
    with pytest.raises(BrokenFrame):
        next(frames)


def test_texts_of_any_length_fit_and_never_shift_what_follows() -> None:
    endless = message(message_id="\u20ac" * 70_000, source_client_id="x" * 65_536)
    decoded, after = decode_messages(encode_messages([endless, message()])[5:])
    assert decoded.message_id.startswith("\u20ac" * 21_845)
    assert decoded.source_client_id == "x" * 65_535
    assert decoded.payload == endless.payload
    assert after == message()


def test_half_of_a_surrogate_pair_cannot_break_the_frame() -> None:
    [decoded] = decode_messages(encode_messages([message(source_broker_id="a\ud800b")])[5:])
    assert decoded == message(source_broker_id="a?b")


def test_the_largest_message_that_the_queue_takes_fits_into_a_frame() -> None:
    texts = 4 * 65_535
    assert QUEUE_BYTES + 4 * BATCH_BYTES + texts < MOST_BYTES
