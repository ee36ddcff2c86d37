"""The settings that go to kafka-python: the connection's from the configuration, the producer's by what was measured.

Plain values that JSON can carry, so that the main process makes them and the publisher process gets them over its pipe.
"""

from __future__ import annotations

from typing import Any

from tie_forwarder.config.kafka import Kafka

PRODUCER: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "allow_auto_create_topics": False,
    # A batch that reaches its delivery timeout wedges the idempotent producer for ever.
    "delivery_timeout_ms": 2**31 - 1,
    "request_timeout_ms": 10_000,
    "max_block_ms": 1_000,
    "bootstrap_timeout_ms": 3_000,
    "reconnect_backoff_max_ms": 1_000,
    "metadata_max_age_ms": 30_000,
    "linger_ms": 0,
    "batch_size": 256 * 1024,
    # The default of 100 ms is waited between two transactions.
    "retry_backoff_ms": 2,
    # Kafka decides what is too large, not the client's default, which lies below what DXL can carry.
    "max_request_size": 8 * 1024 * 1024,
    "metrics_enabled": False,
}


def connection_settings(kafka: Kafka) -> dict[str, Any]:
    """Where Kafka is and who we are to it. Reads secret files; raises ForwarderError when one cannot be read."""
    security = kafka.security
    settings: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "security_protocol": security.protocol.upper(),
    }
    if security.uses_tls:
        settings |= {
            "ssl_check_hostname": security.verify_hostname,
            "ssl_cafile": _text(security.ca_file),
            "ssl_certfile": _text(security.certificate_file),
            "ssl_keyfile": _text(security.key_file),
            "ssl_password": security.read_key_password(),
        }
    if security.uses_sasl:
        settings |= {
            "sasl_mechanism": security.sasl.mechanism,
            "sasl_plain_username": security.sasl.username,
            "sasl_plain_password": security.sasl.read_password(),
        }
    return settings


def _text(path: object) -> str | None:
    return None if path is None else str(path)
