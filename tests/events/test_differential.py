"""The decoders against dxltieclient's own callbacks: equal, or a dead letter for a reason, never silently different."""

from __future__ import annotations

import os

import pytest

from tests.differential.comparison import Comparison, DifferenceError
from tests.differential.run import compare
from tests.differential.variations import Variation
from tie_forwarder.events.kinds import KINDS

SHORT, LONG = int(10_000 * float(os.environ.get("TIE_FORWARDER_SHARE", "1"))), 100_000
REASONS = {
    "bad_field", "bad_hash", "duplicate_key", "nan", "no_hashes", "not_an_object", "not_json", "not_utf8", "too_deep",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
def test_every_payload_is_what_dxltieclient_delivers_or_a_dead_letter(kind: str, count: int) -> None:
    comparison = compare(kind, count)
    assert comparison.payloads >= count
    assert comparison.equal > count / 3
    expected = REASONS | ({"bad_reputations"} if kind.endswith("reputation_change") else set())
    assert set(comparison.dead_letters) == expected
    assert 0 < comparison.lost_by_dxltieclient < comparison.dead_letters.total()


HARMLESS = b'{"hashes": [{"type": "sha1", "value": "qBrvmCig8E3vQgsu2GELDUMAIXM="}], "name": "a"}'


def test_a_decoder_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Comparison("detection")
    found.judge(Variation(HARMLESS, True))
    monkeypatch.setattr("tests.differential.comparison.as_dxltieclient", lambda *_: {"name": "a"})
    with pytest.raises(DifferenceError, match="theirs"):
        found.judge(Variation(HARMLESS, True))


def test_a_decoder_that_refuses_what_is_harmless_is_found() -> None:
    found = Comparison("detection")
    found.judge(Variation(b"{}", False))
    assert found.dead_letters == {"no_hashes": 1}
    with pytest.raises(DifferenceError, match="harmless"):
        found.judge(Variation(b"{}", True))


def test_what_we_deliver_and_dxltieclient_loses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object) -> None:
        raise KeyError("type")

    monkeypatch.setattr("tests.differential.comparison.as_dxltieclient", lose)
    with pytest.raises(DifferenceError, match="we deliver"):
        Comparison("detection").judge(Variation(HARMLESS, True))
