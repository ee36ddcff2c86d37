"""What an output topic must be, judged by what Kafka tells of it, and the largest record each may receive. Pure."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tie_forwarder.check.findings import Finding, failed, not_tried, ok, warning
from tie_forwarder.config import Config
from tie_forwarder.events.decoding import MAX_BYTES
from tie_forwarder.events.kinds import KINDS
from tie_forwarder.events.message import Message
from tie_forwarder.intake import Accepted, Intake
from tie_forwarder.kafka.errors import REMEDIES
from tie_forwarder.records.record import MAX_CHARACTERS
from tie_forwarder.records.size import batch_bytes

if TYPE_CHECKING:
    from tie_forwarder.kafka.admin import Topic


_ID = "{00000000-0000-4000-8000-000000000000}"
_LONGEST_TEXT = "\U0001f600" * MAX_CHARACTERS
_REGISTRY_PREFIX_BYTES = 5
_HASHES = (("md5", 16), ("sha1", 20), ("sha256", 32))


def largest_batches(config: Config) -> dict[str, int]:
    """By topic the size of a batch with the largest record alone, uncompressed."""
    intake = Intake(
        fabric=config.dxl.fabric,
        key_by=config.kafka.key,
        kinds=config.dxl.events,
        formats=config.kafka.format.by_kind(),
    )
    topics = config.kafka.topics.by_destination()
    messages = [_message(KINDS[kind].topic, _payload()) for kind in config.dxl.events]
    messages.append(_message(messages[0].topic, b"\xff" * MAX_BYTES))
    found: dict[str, int] = {}
    for message in messages:
        accepted = intake.accept(message)
        assert isinstance(accepted, Accepted)
        record = accepted.record
        size = len(record.value) + _REGISTRY_PREFIX_BYTES
        if accepted.reason is not None:
            size += MAX_CHARACTERS  # its `detail` may be that much longer
        headers = [*record.headers, ("ce_forwarder", config.group.member.encode())]
        topic = topics[record.destination]
        found[topic] = max(found.get(topic, 0), batch_bytes(record.key, size, headers))
    return found


def _message(topic: str, payload: bytes) -> Message:
    return Message(_ID, topic, _LONGEST_TEXT, _LONGEST_TEXT, payload, 1_700_000_000_000)


def _payload() -> bytes:
    fields = {
        "agentGuid": _ID,
        "detectionTime": 1_700_000_000,
        "hashes": [{"type": name, "value": b64encode(bytes(length)).decode()} for name, length in _HASHES],
        "localReputation": 1,
        "note": "",
    }
    fields["note"] = "x" * (MAX_BYTES - len(json.dumps(fields)))
    return json.dumps(fields).encode()


_MEGABYTE = 1024 * 1024


class Needs(NamedTuple):
    """What the configuration asks of every output topic."""

    exactly_once: bool
    memory_seconds: float
    """How far back a member may read: the window, and the margin before it."""
    codec: str | None
    """That of the producer; None where it does not compress."""
    decodable: Sequence[str]
    """The codecs whose libraries are installed."""
    largest: Mapping[str, int]
    """By topic the size of a batch with the largest record alone."""


def judge(name: str, topic: Topic, needs: Needs) -> Iterator[Finding]:
    """The lines of one topic."""
    if topic.missing:
        yield failed("topic.exists", name, "it does not exist", "create it, or let --create-topics do so")
        return
    if topic.hidden:
        yield failed("topic.exists", name, "it does not exist, or this user may not see it", _grant(needs, name))
        return
    if topic.leaderless:
        yield failed("topic.exists", name, f"{topic.leaderless} of its partitions have no leader", _BROKERS)
    else:
        yield ok("topic.exists", name, f"partitions: {len(topic.replicas)}, each with a leader")
    yield _replication(name, topic)
    yield _in_sync(name, topic)
    for judged in (_retention, _cleanup, _size, _compression, _timestamps):
        yield judged(name, topic, needs)
    yield _rights(name, topic, needs)


def _replication(name: str, topic: Topic) -> Finding:
    code, fewest = "topic.replication", min(topic.replicas)
    behind = sum(there < wanted for there, wanted in zip(topic.in_sync, topic.replicas, strict=True))
    if behind:
        text = f"{behind} of its {len(topic.replicas)} partitions lack a replica in sync"
        return warning(code, name, text, _BROKERS)
    if fewest < 2:
        text = "one replica: what is in it is lost with its broker's disk"
        return warning(code, name, text, "give the topic three replicas where the cluster has three brokers")
    return ok(code, name, f"{fewest} replicas, all in sync")


def _in_sync(name: str, topic: Topic) -> Finding:
    code, replicas, there = "topic.in_sync", min(topic.replicas), min(topic.in_sync)
    if "min.insync.replicas" not in topic.settings:
        return _untold(code, name, topic, "min.insync.replicas")
    needed = int(topic.settings["min.insync.replicas"])
    text = f"min.insync.replicas={needed}"
    if needed > replicas:
        remedy = f"set min.insync.replicas to {max(1, replicas - 1)}, or give the topic more replicas"
        return failed(code, name, f"{text}, and it has {replicas} replicas: nothing can ever be written", remedy)
    if there < needed:
        return failed(code, name, f"{text}, and only {there} replicas are in sync: nothing can be written", _BROKERS)
    if replicas > 1 and needed == 1:
        return warning(code, name, f"{text}: a record may be lost with one broker", "set min.insync.replicas=2")
    if replicas > 1 and needed == replicas:
        remedy = f"set min.insync.replicas={replicas - 1}"
        return warning(code, name, f"{text} of {replicas} replicas: one broker less, and nothing is written", remedy)
    return ok(code, name, text)


def _retention(name: str, topic: Topic, needs: Needs) -> Finding:
    code = "topic.retention"
    if "retention.ms" not in topic.settings:
        return _untold(code, name, topic, "retention.ms")
    milliseconds, size = int(topic.settings["retention.ms"]), int(topic.settings.get("retention.bytes", -1))
    text = "kept for ever" if milliseconds < 0 else f"kept for {_duration(milliseconds / 1000)}"
    if 0 <= milliseconds < needs.memory_seconds * 1000 and needs.exactly_once:
        memory = _duration(needs.memory_seconds)
        text += f", less than group.window_seconds and margin_seconds together ({memory}): events may stand twice"
        return failed(code, name, text, "raise retention.ms of the topic above that, and above the longest backlog")
    if size >= 0:
        text += f", and at most {size} bytes of each partition, whatever their age"
        return warning(code, name, text, "set retention.bytes=-1, or see that so much holds the longest backlog")
    return ok(code, name, text)


def _cleanup(name: str, topic: Topic, needs: Needs) -> Finding:
    code = "topic.cleanup"
    if "cleanup.policy" not in topic.settings:
        return _untold(code, name, topic, "cleanup.policy")
    policy = topic.settings["cleanup.policy"]
    if "compact" not in policy:
        return ok(code, name, f"cleanup.policy={policy}")
    text, say = f"it is compacted (cleanup.policy={policy})", failed if needs.exactly_once else warning
    return say(code, name, text, _COMPACTED)


def _size(name: str, topic: Topic, needs: Needs) -> Finding:
    code = "topic.size"
    if "max.message.bytes" not in topic.settings:
        return _untold(code, name, topic, "max.message.bytes")
    limit, largest = int(topic.settings["max.message.bytes"]), needs.largest[name]
    text = f"max.message.bytes={limit}, and the largest event of DXL makes {largest} with its key and headers"
    if limit < largest:
        return warning(code, name, f"{text}: what is too large becomes a dead letter", f"set it to {2 * _MEGABYTE}")
    return ok(code, name, text)


def _compression(name: str, topic: Topic, needs: Needs) -> Finding:
    code, option = "topic.compression", "compression.type"
    if option not in topic.settings:
        return _untold(code, name, topic, option)
    setting = topic.settings[option]
    codec = needs.codec if setting == "producer" else setting
    if codec is None:
        return ok(code, name, f"{option}=producer, and the forwarder does not compress")
    whose = f"{option}=producer, and kafka.producer says {codec}" if setting == "producer" else f"{option}={setting}"
    if codec == "uncompressed":
        return ok(code, name, whose)
    if codec in needs.decodable:
        return ok(code, name, f"{whose}: this installation can decode it")
    say = failed if needs.exactly_once else warning
    return say(code, name, f"{whose}: this installation cannot decode it", REMEDIES["unsupported_codec"])


def _timestamps(name: str, topic: Topic, needs: Needs) -> Finding:
    code, option = "topic.timestamps", "message.timestamp.type"
    if option not in topic.settings:
        return _untold(code, name, topic, option)
    kind = topic.settings[option]
    if kind != "LogAppendTime":
        return ok(code, name, f"{option}={kind}: records keep their time of receipt")
    text = f"{option}={kind}: Kafka replaces the time of receipt, which then is in the headers only"
    if needs.exactly_once:
        text += "; a member that starts searches its place by the brokers' clocks"
        return warning(code, name, text, f"set {option}=CreateTime on the topic")
    return ok(code, name, text)


def _rights(name: str, topic: Topic, needs: Needs) -> Finding:
    code = "topic.rights"
    if topic.rights is None:
        return not_tried(code, name, "Kafka does not tell this user's rights")
    needed = _needed(needs)
    lacking = [right for right in needed if right.upper() not in topic.rights]
    if lacking:
        return failed(code, name, f"this user lacks {' and '.join(lacking)}", _grant(needs, name))
    return ok(code, name, f"this user has {', '.join(needed)}")


def _needed(needs: Needs) -> tuple[str, ...]:
    return ("Write", "Read", "Describe") if needs.exactly_once else ("Write", "Describe")


def _grant(needs: Needs, name: str) -> str:
    return f"grant this user {', '.join(_needed(needs))} on the topic {name}"


def _untold(code: str, name: str, topic: Topic, option: str) -> Finding:
    return not_tried(code, name, topic.untold or f"Kafka does not tell {option}")


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.4g} {unit}"
    return f"{seconds:.4g} seconds"


_BROKERS = "see which brokers are missing, and bring them back"
_COMPACTED = "set cleanup.policy=delete on the topic: a key's newer record would take the place of its older ones"
