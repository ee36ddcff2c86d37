"""Which options of `kafka.producer` may be passed through to kafka-python's producer, and why the others may not.

Also which of Kafka's codecs this installation can decode. Loads kafka-python only when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CODECS = ("gzip", "snappy", "lz4", "zstd")
"""Kafka's codecs, as `compression.type` of a topic and `compression_type` of a producer name them."""

_MOST_IN_FLIGHT = 5
_SECURITY = "use kafka.security instead"
_REMOVE = "remove it"

_REFUSED = {
    "acks": ("an event leaves the spool only when all in-sync replicas have it", _REMOVE),
    "enable_idempotence": ("without it a retry could write an event twice or out of order", _REMOVE),
    "transactional_id": ("the members of a group share the one made from the group's name", "use group.name instead"),
    "delivery_timeout_ms": ("nothing may be given up because of its age", _REMOVE),
    "retries": ("nothing may be given up because of a number of attempts", _REMOVE),
    "bootstrap_servers": ("it has an option of its own", "use kafka.bootstrap_servers instead"),
    "security_protocol": ("it has an option of its own", _SECURITY),
    "key_serializer": ("keys reach the producer as bytes", "use kafka.key instead"),
    "value_serializer": ("values reach the producer as bytes", "use kafka.format instead"),
}
_OBJECTS = frozenset({"partitioner", "metric_reporters", "selector", "kafka_client", "socket_options"})


def refused_producer_options(options: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The options that may not be passed through: name -> (what is wrong, remedy). Values are never repeated."""
    refused = {name: reason for name, value in options.items() if (reason := _refusal(name, value))}
    left = [name for name in options if name not in refused]
    refused.update({name: _unknown(name) for name in unknown_producer_options(left)})
    refused.update({name: _mistyped() for name in left if name not in refused and _is_mistyped(name, options[name])})
    return refused


def decodable_codecs() -> list[str]:
    """Those of `CODECS` whose library is installed."""
    from kafka import codec

    return [name for name in CODECS if getattr(codec, f"has_{name}")()]


def unknown_producer_options(names: Iterable[str]) -> list[str]:
    """Those of `names` that kafka-python's producer does not know."""
    defaults = _defaults()
    return [name for name in names if name not in defaults]


def _defaults() -> Mapping[str, Any]:
    from kafka import KafkaProducer

    defaults: Mapping[str, Any] = KafkaProducer.DEFAULT_CONFIG
    return defaults


def _refusal(name: str, value: Any) -> tuple[str, str] | None:
    if name in _REFUSED:
        return _REFUSED[name]
    if name.startswith(("ssl_", "sasl_")):
        return "it has an option of its own", _SECURITY
    if name in _OBJECTS:
        return "it takes a Python object, which a file cannot hold", _REMOVE
    if name == "compression_type" and value is not None and value not in CODECS:
        return "kafka-python has no such codec", _codec_remedy(value)
    if name == "max_in_flight_requests_per_connection" and isinstance(value, int) and value > _MOST_IN_FLIGHT:
        return f"above {_MOST_IN_FLIGHT} a retry could change the order", f"give 1 to {_MOST_IN_FLIGHT}"
    return None


def _codec_remedy(value: object) -> str:
    near = _nearest(value.lower(), CODECS) if isinstance(value, str) else ""
    return f"did you mean {near}?" if near else f"give {', '.join(CODECS)}, or remove it for no compression"


def _nearest(name: str, names: Iterable[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, list(names), n=1)), "")


def _unknown(name: str) -> tuple[str, str]:
    near = _nearest(name.replace(".", "_"), _defaults())
    remedy = f"did you mean {near}?" if near else "see the options of KafkaProducer in kafka-python"
    return "kafka-python's producer has no such option", remedy


def _is_mistyped(name: str, value: Any) -> bool:
    default = _defaults()[name]
    if isinstance(default, bool):
        return not isinstance(value, bool)
    return isinstance(default, int) and (isinstance(value, bool) or not isinstance(value, int))


def _mistyped() -> tuple[str, str]:
    return (
        "has a value of the wrong type",
        "give a number without quotes, or true or false, as kafka-python documents it",
    )
