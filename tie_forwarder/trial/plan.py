"""What there is to try, made from the configuration: for each area its module and its settings as plain values.

Reads `dxlclient.config` and the secret files, which may hang: whoever calls it bounds it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tie_forwarder.config import Config
from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.publisher.replay_id import replay_id
from tie_forwarder.supervisor.blueprint import publisher_configuration
from tie_forwarder.trial.largest import largest_batches


class Plan(NamedTuple):
    """One area, or one broker of the fabric."""

    module: str
    settings: dict[str, Any]


def plans(config: Config, *, create_topics: bool) -> list[Plan]:
    """Everything that can be tried. Raises ForwarderError where a secret file cannot be read."""
    fabric = FabricFile(file=config.dxl.config_file, place="")
    told = publisher_configuration(config, resume=None)
    found = [
        Plan("certificates", {"files": _certificates(config, fabric)}),
        *(Plan("fabric", settings) for settings in _brokers(config, fabric)),
        Plan("kafka", _kafka(config, told, create_topics=create_topics)),
    ]
    if told["registry"] is not None:
        found.append(Plan("registry", {"registry": told["registry"], "topics": told["topics"]}))
    spool = {"directory": str(config.spool.directory), "max_bytes": int(config.spool.max_bytes)}
    return [*found, Plan("disk", spool), Plan("port", _port(config))]


def _certificates(config: Config, fabric: FabricFile) -> list[dict[str, Any]]:
    security = config.kafka.security
    authorities = {
        "DXL brokers": fabric.certificate("BrokerCertChain"),
        "Kafka brokers": security.ca_file,
        "schema registry": config.kafka.schema_registry.ca_file,
    }
    files: list[dict[str, Any]] = []
    certificate, key = fabric.certificate("CertFile"), fabric.certificate("PrivateKey")
    if certificate is not None and key is not None:
        files.append(_client("DXL client", certificate, key, None, authorities["DXL brokers"]))
    if security.certificate_file is not None:
        key = security.key_file or security.certificate_file
        password = security.read_key_password()
        files.append(_client("Kafka client", security.certificate_file, key, password, authorities["Kafka brokers"]))
    return [
        *files,
        *(
            {"role": role, "kind": "authorities", "path": str(path)}
            for role, path in authorities.items()
            if path is not None
        ),
    ]


def _client(role: str, path: object, key: object, password: str | None, authorities: object) -> dict[str, Any]:
    return {
        "role": role,
        "kind": "client",
        "path": str(path),
        "key": str(key),
        "password": password,
        "authorities": None if authorities is None else str(authorities),
    }


def _brokers(config: Config, fabric: FabricFile) -> list[dict[str, Any]]:
    files = {setting: fabric.certificate(setting) for setting in ("CertFile", "PrivateKey", "BrokerCertChain")}
    if None in files.values():
        return []
    shared = {
        "config_file": str(config.dxl.config_file),
        "events": list(config.dxl.events),
        "websockets": fabric.by_websockets,
        "proxy": fabric.proxy,
        "certificate": str(files["CertFile"]),
        "key": str(files["PrivateKey"]),
        "authorities": str(files["BrokerCertChain"]),
    }
    return [
        {"host": broker.host, "port": broker.port, "address": broker.address, **shared} for broker in fabric.brokers()
    ]


def _kafka(config: Config, told: dict[str, Any], *, create_topics: bool) -> dict[str, Any]:
    exactly_once = config.kafka.delivery == "exactly_once"
    return {
        "connection": told["connection"],
        "topics": list(dict.fromkeys(told["topics"].values())),
        "group": config.group.name if exactly_once else None,
        "replay": replay_id(config.group.name),
        "codec": told["options"].get("compression_type"),
        "create": create_topics,
        "largest": largest_batches(config),
        "memory_seconds": config.group.window_seconds + config.group.margin_seconds,
    }


def _port(config: Config) -> dict[str, Any]:
    address = config.http.address
    return {
        "listen": config.http.listen,
        "host": None if address is None else address.host,
        "port": None if address is None else address.port,
        "group": config.group.name,
        "member": config.group.member,
    }
