"""Reports of /status as examples; a test holds their keys against those of a real forwarder."""

from __future__ import annotations

import copy
from typing import Any

_COUNTS = {"received": 0, "published": 0, "settled": 0, "filtered": 0, "dead_lettered": 0, "dropped": 0}

EXAMPLE: dict[str, Any] = {
    "state": "ok",
    "reason": "ok",
    "since": "2026-11-24T03:12:44.120Z",
    "remedy": "",
    "problems": [],
    "parts": [
        {"name": "fabric", "health": "ok", "word": "connected", "detail": ""},
        {"name": "receiver", "health": "ok", "word": "listens", "detail": ""},
        {"name": "intake", "health": "ok", "word": "accepts", "detail": ""},
        {"name": "spool", "health": "ok", "word": "empty", "detail": ""},
        {"name": "publisher", "health": "ok", "word": "publishes", "detail": ""},
        {"name": "kafka", "health": "ok", "word": "answers", "detail": ""},
    ],
    "group": {
        "name": "tie-forwarder",
        "member": "one",
        "role": "publishing",
        "reason": "started",
        "since": "2026-11-24T03:12:40.000Z",
        "takeovers": {"started": 1},
        "members": [
            {"name": "one", "seen_publishing": "2026-11-24T05:00:00.000Z", "heard": None},
            {"name": "two", "seen_publishing": None, "heard": "2026-11-24T05:00:00.000Z"},
        ],
        "tail": {"tie.file.detections": {"0": 28}},
    },
    "receiver": {
        "pid": 101,
        "phase": "receiving",
        "ready": True,
        "fabric": "main",
        "events": ["detection"],
        "canary_answered_seconds_ago": 0.4,
        "queue_events": 0,
        "last_trouble": "",
        "last_restart": None,
    },
    "spool": {
        "events": 0,
        "bytes": 49_152,
        "limit_bytes": 4_294_967_296,
        "when_full": "drop_oldest",
        "oldest_received_at": None,
        "full_in_seconds": None,
    },
    "publisher": {
        "pid": 102,
        "connected": True,
        "kafka": ["kafka-1:9092", "kafka-2:9092"],
        "delivery": "exactly_once",
        "waiting_seconds": 0.0,
        "trouble": None,
        "last_restart": None,
    },
    "certificates": [
        {
            "role": "dxl_client",
            "file": "/etc/tie-forwarder/dxl/client.crt",
            "ends": "2027-03-24T00:00:00.000Z",
            "days_left": 119,
        },
        {"role": "dxl_brokers", "file": "/etc/dxl/ca.crt", "ends": "2036-11-24T00:00:00.000Z", "days_left": 3_652},
    ],
    "ledger": {
        "in_spool_at_start": 0,
        "received": 12_345,
        "published": 12_345,
        "settled": 0,
        "filtered": 0,
        "dropped": 0,
        "duplicate": 0,
        "in_spool": 0,
        "imbalance": 0,
    },
    "rates": {
        "now": {"seconds": 10.0, **_COUNTS, "received": 412, "published": 409},
        "last_hour": {"seconds": 3_600.0, **_COUNTS, "received": 12_345, "published": 12_345},
        "last_day": {"seconds": 6_460.0, **_COUNTS, "received": 12_345, "published": 12_345},
        "by_minute": {
            "received": [100 + (number * 37) % 220 for number in range(60)],
            "published": [100 + (number * 37) % 220 for number in range(60)],
        },
    },
    "dead_letters": {"total": 0, "last": []},
    "now": "2026-11-24T05:00:00.000Z",
    "started": "2026-11-24T03:12:20.000Z",
    "version": "0.1.0",
    "versions": {"tie-forwarder": "0.1.0", "python": "3.11.7", "dxlclient": "5.7.0.1"},
}


def example(**changes: Any) -> dict[str, Any]:
    """The example with sections changed key by key, and other values replaced."""
    status = copy.deepcopy(EXAMPLE)
    for name, value in changes.items():
        if isinstance(value, dict):
            status[name].update(value)
        else:
            status[name] = value
    return status


def letter(**changes: Any) -> dict[str, Any]:
    """A dead letter as /status has it."""
    found = {
        "received_at": "2026-11-24T04:59:12.004Z",
        "reason": "not_json",
        "meaning": "The payload is not JSON text.",
        "detail": "line 1, column 1: a value is expected",
        "kind": "detection",
        "dxl_topic": "/mcafee/event/tie/file/detection",
        "event_id": "a5d868b2-1d2c-4f60-9f3e-0e6f6a1c2b3d",
        "bytes": 18,
        "first_bytes": "this is no payload",
    }
    return {**found, **changes}
