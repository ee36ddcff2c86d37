"""Payloads for tests: the sample, hostile ones, strategies that make more, and what dxltieclient makes of one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from dxlclient.message import Event as DxlEvent
from dxltieclient import DetectionCallback, FirstInstanceCallback, ReputationChangeCallback
from hypothesis import strategies as st

from tie_forwarder.events.detection import DETECTION
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.message import Message

SAMPLES = {kind: Path(__file__).with_name(f"{kind}.json").read_bytes() for kind in KINDS}
"""One payload of each kind of event, in the form of the wire."""

SAMPLE = SAMPLES["detection"]

SAMPLE_DICT: dict[str, Any] = {
    "agentGuid": "{68125cd6-a5d8-11e6-348e-000c29663178}",
    "detectionTime": 1481301796,
    "hashes": {
        "md5": "eb5e2b9dc51817a086d7b97eb52410ab",
        "sha1": "435dfd470f727437c7cb4f07cba1f9a1f4272656",
        "sha256": "414bb16b10ece2db2d8448cb9f313f80cb77c310ca0c19ee03c73cba0c16fedb",
    },
    "localReputation": 1,
    "name": "FOCUS_MALWARE2.EXE",
    "remediationAction": 5,
}

MESSAGE_ID = "{A5D868B2-1d2c-4f60-9f3e-0e6f6a1c2b3d}"
EVENT_ID = "a5d868b2-1d2c-4f60-9f3e-0e6f6a1c2b3d"


def base64_of(digest_hex: str) -> str:
    return base64.b64encode(bytes.fromhex(digest_hex)).decode()


def message(payload: bytes = SAMPLE, **others: Any) -> Message:
    fields: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "topic": DETECTION.topic,
        "source_client_id": "",
        "source_broker_id": "",
        "payload": payload,
        "received_at_ms": 1_700_000_000_123,
    }
    return Message(**{**fields, **others})


def wire(**changes: Any) -> bytes:
    """The sample with fields changed or added; a field that is `...` is left out."""
    fields = {**json.loads(SAMPLE), **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def with_hash(**entry: Any) -> bytes:
    """The sample with one more entry among its hashes."""
    return wire(hashes=[*json.loads(SAMPLE)["hashes"], entry])


class _Capture:
    """Takes what a callback of dxltieclient hands to its user, whatever the callback's method is called."""

    def __init__(self) -> None:
        super().__init__()
        self.captured: Any = None

    def _capture(self, fields: Any, original_event: Any) -> None:
        self.captured = fields

    on_detection = on_first_instance = on_reputation_change = _capture


class _CaptureDetection(_Capture, DetectionCallback):  # type: ignore[misc]  # dxltieclient carries no types
    pass


class _CaptureFirstInstance(_Capture, FirstInstanceCallback):  # type: ignore[misc]  # dxltieclient carries no types
    pass


class _CaptureReputationChange(_Capture, ReputationChangeCallback):  # type: ignore[misc]  # dxltieclient carries no types
    pass


_CALLBACKS: dict[str, Any] = {
    "detection": _CaptureDetection,
    "first_instance": _CaptureFirstInstance,
    "file_reputation_change": _CaptureReputationChange,
    "certificate_reputation_change": _CaptureReputationChange,
}


def as_dxltieclient(payload: bytes, kind: str = "detection") -> Any:
    """What the real callback for the kind hands to its user; raises whatever that raises."""
    event = DxlEvent(KINDS[kind].topic)
    event.payload = payload
    callback = _CALLBACKS[kind]()
    callback.on_event(event)
    return callback.captured


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
_DIGESTS = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "imphash": 9}


@st.composite
def _hash_lists(draw: st.DrawFn) -> list[dict[str, str]]:
    types = draw(st.lists(st.sampled_from(sorted(_DIGESTS)), min_size=1, unique=True))
    entries = []
    for name in types:
        size = _DIGESTS[name]
        value = base64.b64encode(draw(st.binary(min_size=size, max_size=size))).decode()
        pairs = draw(st.permutations([("type", name), ("value", value)]))
        entries.append(dict(pairs))
    return entries


@st.composite
def valid_payloads(draw: st.DrawFn) -> bytes:
    """Detections of every valid shape: missing and null fields, unknown ones, any order, blanks, escapes, NUL tails."""
    known = {
        "agentGuid": TEXT | st.uuids().map(lambda guid: f"{{{guid}}}"),
        "detectionTime": INTEGERS,
        "localReputation": INTEGERS,
        "name": TEXT,
        "remediationAction": INTEGERS,
    }
    fields: dict[str, Any] = draw(st.dictionaries(TEXT.filter(lambda name: name not in known), JSON, max_size=3))
    for name, values in known.items():
        if draw(st.booleans()):
            fields[name] = draw(values | st.none())
    fields["hashes"] = draw(_hash_lists())
    ordered = dict(draw(st.permutations(list(fields.items()))))
    text = json.dumps(
        ordered,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 1])),
        separators=draw(st.sampled_from([(",", ":"), (" ,\t", " :\r\n")])),
    )
    return text.encode() + b"\0" * draw(st.integers(0, 2))


@st.composite
def nearly_valid_payloads(draw: st.DrawFn) -> bytes:
    """A valid payload with a few bytes cut out, put in, or repeated, or with a field of any other value."""
    payload = draw(valid_payloads() | st.just(SAMPLE))
    if draw(st.booleans()):
        fields = json.loads(payload.rstrip(b"\0"))
        name = draw(st.sampled_from(sorted(fields)))
        fields[name] = draw(JSON | st.sampled_from(["12", "-3", "007", " 1", "1.0", "\u0661", 2**63, True, 1.0]))
        payload = json.dumps(fields).encode()
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(payload)))
        end = draw(st.integers(start, min(len(payload), start + 8)))
        middle = draw(st.binary(max_size=4) | st.just(payload[start:end] * 2) | st.sampled_from(_FRAGMENTS))
        payload = payload[:start] + middle + payload[end:]
    return payload


_FRAGMENTS = [
    b'"',
    b",",
    b'"name":"x",',
    b"NaN",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"\0",
    b"=",
    b"1e999",
    b"[",
    b"{}",
    b"\\u0000",
]


def hostile_payloads() -> dict[str, tuple[bytes, str]]:
    """By name: a payload that is no valid detection, and the reason code that it must get."""
    sample = SAMPLE.decode()
    sha256 = SAMPLE_DICT["hashes"]["sha256"]
    entry = {"type": "sha256", "value": base64_of(sha256)}
    urlsafe = base64.urlsafe_b64encode(b"\xfb\xff" * 16).decode()
    return {
        "empty": (b"", "not_json"),
        "only NUL bytes": (b"\0\0\0", "not_json"),
        "a NUL byte and a newline at the end": (SAMPLE + b"\0\n", "not_json"),
        "cut off": (SAMPLE[:-20], "not_json"),
        "two documents": (SAMPLE + SAMPLE, "not_json"),
        "single quotes": (sample.replace('"', "'").encode(), "not_json"),
        "a byte order mark": (b"\xef\xbb\xbf" + SAMPLE, "not_json"),
        "half of a surrogate pair": (wire(name="\ud800"), "not_json"),
        "the other half of a surrogate pair": (wire(name="\udc00"), "not_json"),
        "an integer of 5,000 digits": (sample.replace("1481301796", "9" * 5000).encode(), "not_json"),
        "Latin-1": (sample.replace("FOCUS", "M\xfcLL").encode("latin-1"), "not_utf8"),
        "UTF-16": (sample.encode("utf-16"), "not_utf8"),
        "a surrogate in UTF-8": (sample.replace("FOCUS", "\ud800").encode(errors="surrogatepass"), "not_utf8"),
        "an overlong encoding": (SAMPLE.replace(b"FOCUS", b"\xc0\x80"), "not_utf8"),
        "a list": (b"[" + SAMPLE + b"]", "not_an_object"),
        "a string": (b'"detection"', "not_an_object"),
        "a number": (b"1", "not_an_object"),
        "null": (b"null", "not_an_object"),
        "bare NaN": (b"NaN", "not_an_object"),
        "a key twice": (SAMPLE[:-1] + b', "name": "OTHER.EXE"}', "duplicate_key"),
        "a key twice, once escaped": (SAMPLE[:-1] + b', "n\\u0061me": "OTHER.EXE"}', "duplicate_key"),
        "a key twice in a hash": (
            sample.replace('"type": "md5"', '"type": "md5", "type": "md5"').encode(),
            "duplicate_key",
        ),
        "a key twice deep inside": (SAMPLE[:-1] + b', "x": [{"y": {"z": 1, "z": 1}}]}', "duplicate_key"),
        "a key twice beside a colon in a string": (SAMPLE[:-1] + b', "name": "C:", "p": ":"}', "duplicate_key"),
        "NaN": (wire(localReputation=float("nan")), "nan"),
        "Infinity in an unknown field": (wire(score=[float("inf")]), "nan"),
        "minus Infinity": (wire(score=-float("inf")), "nan"),
        "a number beyond every double": (sample.replace("1481301796", "1e999").encode(), "nan"),
        "more than 1 MiB": (wire(name="x" * (1024 * 1024)), "too_large"),
        "more than 1 MiB of NUL bytes": (b"\0" * (1024 * 1024 + 1), "too_large"),
        "lists 65 deep": (wire(x=_nested(64)), "too_deep"),
        "lists 300 deep": (wire(x=_nested(300)), "too_deep"),
        "a million brackets": (b"[" * 1_000_000, "too_deep"),
        "a hundred thousand objects": (b'{"a":' * 100_000, "too_deep"),
        "no hashes": (wire(hashes=...), "no_hashes"),
        "hashes null": (wire(hashes=None), "no_hashes"),
        "hashes empty": (wire(hashes=[]), "no_hashes"),
        "hashes a dict": (wire(hashes=SAMPLE_DICT["hashes"]), "bad_hash"),
        "hashes an empty dict": (wire(hashes={}), "bad_hash"),
        "hashes a string": (wire(hashes=sha256), "bad_hash"),
        "hashes false": (wire(hashes=False), "bad_hash"),
        "a hash that is no object": (wire(hashes=[sha256]), "bad_hash"),
        "a hash without type": (wire(hashes=[{"value": entry["value"]}]), "bad_hash"),
        "a hash type that is a number": (wire(hashes=[{**entry, "type": 256}]), "bad_hash"),
        "a hash type that is a list": (wire(hashes=[{**entry, "type": []}]), "bad_hash"),
        "a hash without value": (wire(hashes=[{"type": "sha256"}]), "bad_hash"),
        "a hash value null": (wire(hashes=[{**entry, "value": None}]), "bad_hash"),
        "a hash value empty": (wire(hashes=[{**entry, "value": ""}]), "bad_hash"),
        "hex where base64 belongs": (wire(hashes=[{**entry, "value": sha256}]), "bad_hash"),
        "a hash without its padding": (wire(hashes=[{**entry, "value": entry["value"].rstrip("=")}]), "bad_hash"),
        "a hash with too much padding": (wire(hashes=[{**entry, "value": entry["value"] + "="}]), "bad_hash"),
        "a hash with a line break": (wire(hashes=[{**entry, "value": entry["value"] + "\n"}]), "bad_hash"),
        "a hash with junk inside": (wire(hashes=[{**entry, "value": "!" + entry["value"]}]), "bad_hash"),
        "a hash with stray bits": (wire(hashes=[{**entry, "value": entry["value"][:-2] + "t="}]), "bad_hash"),
        "a hash that is not ASCII": (wire(hashes=[{**entry, "value": "\xe9" + entry["value"][1:]}]), "bad_hash"),
        "url-safe base64": (wire(hashes=[{**entry, "value": urlsafe}]), "bad_hash"),
        "a hash one byte short": (wire(hashes=[{**entry, "value": base64_of(sha256[:-2])}]), "bad_hash"),
        "an md5 of 20 bytes": (wire(hashes=[{"type": "md5", "value": base64_of("00" * 20)}]), "bad_hash"),
        "a hash type twice": (with_hash(**entry), "bad_hash"),
        "a known type in upper case": (wire(hashes=[{**entry, "type": "SHA256"}]), "bad_hash"),
        "a known type with a hyphen": (wire(hashes=[{**entry, "type": "sha-256"}]), "bad_hash"),
        "a known type with a blank": (wire(hashes=[{**entry, "type": "sha256 "}]), "bad_hash"),
        "an empty type": (wire(hashes=[{**entry, "type": ""}]), "bad_hash"),
        "an unreadable type": (wire(hashes=[{**entry, "type": "sha\n512"}]), "bad_hash"),
        "an endless type": (wire(hashes=[{**entry, "type": "x" * 100}]), "bad_hash"),
        "an unknown type without digest": (wire(hashes=[{"type": "sha512", "value": ""}]), "bad_hash"),
        "a time in text": (wire(detectionTime="2016-12-09"), "bad_field"),
        "a time with a fraction": (wire(detectionTime=1481301796.0), "bad_field"),
        "a time that is a boolean": (wire(detectionTime=True), "bad_field"),
        "a time beyond 64 bits": (wire(detectionTime=2**63), "bad_field"),
        "a time beyond 64 bits in digits": (wire(detectionTime=str(2**63)), "bad_field"),
        "an empty string for an integer": (wire(localReputation=""), "bad_field"),
        "digits with blanks": (wire(localReputation=" 1"), "bad_field"),
        "digits with a plus sign": (wire(localReputation="+1"), "bad_field"),
        "digits with underscores": (wire(localReputation="1_0"), "bad_field"),
        "digits of another script": (wire(localReputation="\u0661"), "bad_field"),
        "a list for an integer": (wire(remediationAction=[5]), "bad_field"),
        "a name that is a number": (wire(name=5), "bad_field"),
        "a name that is a dict": (wire(name={}), "bad_field"),
        "an agent that is a number": (wire(agentGuid=1), "bad_field"),
    }


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value
