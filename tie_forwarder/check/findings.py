"""The findings of `check --connect`: every line that can appear, and what was found."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class State(StrEnum):
    """What a finding means for the service."""

    OK = "ok"
    WARNING = "warning"
    """It would work, and somebody should look at this."""
    FAILED = "failed"
    """It would not work, or would not keep its promises."""
    NOT_TRIED = "not tried"
    """Something before it failed, or this user may not see it."""


class Finding(NamedTuple):
    """One line. `code` is one of `lines.LINES`, its part before the dot is the area."""

    code: str
    subject: str
    state: State
    found: str
    remedy: str = ""

    @property
    def area(self) -> str:
        return self.code.partition(".")[0]

    def as_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them."""
        return {**self._asdict(), "state": self.state.value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Finding:
        return cls(**{**values, "state": State(values["state"])})


class Trying(NamedTuple):
    """Said before a thing is tried that may hang: it is what is named when it does."""

    code: str
    subject: str


Step = Finding | Trying


def ok(code: str, subject: str, found: str) -> Finding:
    return Finding(code, subject, State.OK, found)


def warning(code: str, subject: str, found: str, remedy: str) -> Finding:
    return Finding(code, subject, State.WARNING, found, remedy)


def failed(code: str, subject: str, found: str, remedy: str) -> Finding:
    return Finding(code, subject, State.FAILED, found, remedy)


def not_tried(code: str, subject: str, why: str, remedy: str = "") -> Finding:
    return Finding(code, subject, State.NOT_TRIED, why, remedy)


AREAS = {
    "configuration": "Configuration",
    "certificate": "Certificates",
    "fabric": "DXL fabric",
    "kafka": "Kafka",
    "topic": "Topics",
    "transactions": "Transactions",
    "registry": "Schema registry",
    "clock": "Clock",
    "disk": "Disk",
    "port": "HTTP port",
    "service": "Running service",
}
"""The areas in the order in which they are shown, with their headings."""

LINES = {
    "configuration.values": "the file is there, every option is one and has a value that it may have",
    "configuration.files": "the files that it names (lists, passwords, `dxlclient.config`) are there and can be read",
    "configuration.exposure": "no other user of this machine can read a secret, or write what the service reads",
    "certificate.file": "the certificate can be read",
    "certificate.expiry": "it is valid today, and for 30 days more",
    "certificate.signature": "neither its signature nor its key is of a kind that TLS libraries refuse",
    "certificate.key": "the private key belongs to it, and can be read without a person",
    "certificate.chain": "who issued it, as far as the files tell, and that a bundle of authorities has its root",
    "fabric.name": "the broker's name is found",
    "fabric.tcp": "its port takes connections",
    "fabric.tls": "the handshake with both certificates, by dxlclient's own rules",
    "fabric.connack": "the broker welcomes this client",
    "fabric.subscription": "it confirms the subscriptions of all events in `dxl.events`",
    "fabric.canary": "an event that is sent comes back; the client id is another one than that of the service",
    "kafka.server": "each bootstrap server takes a connection, with TLS where it is configured",
    "kafka.login": "it takes the name and the password",
    "kafka.cluster": "which cluster answers",
    "kafka.broker": "the brokers that the cluster names can be reached from here, too",
    "topic.created": "a topic that was missing, with `--create-topics`",
    "topic.exists": "it is there, and each partition has a leader",
    "topic.replication": "how many replicas it has, and whether all are in sync",
    "topic.in_sync": "`min.insync.replicas` can be reached, and one broker may die",
    "topic.retention": "records stay longer than a member may need to read back",
    "topic.cleanup": "it is not compacted",
    "topic.size": "`max.message.bytes` takes the largest event of DXL with its key and headers",
    "topic.compression": "this installation can decode the codec in which the topic's records are kept",
    "topic.timestamps": "records keep the time of receipt as their timestamp",
    "topic.rights": "this user may do there what `kafka.delivery` needs",
    "transactions.ability": "the cluster can do transactions, and long enough ones",
    "transactions.rights": "this user may use the group's transactional id, asked without harm",
    "transactions.replay": "the same for the id that `replay` uses",
    "registry.schemas": "it knows the schemas, or would take them",
    "clock.kafka": "this machine's clock and that of Kafka's controller agree",
    "disk.rights": "the spool's directory and the files in it can be written",
    "disk.lock": "no other process uses the spool; the service that runs here may",
    "disk.file_system": "the spool is on a local disk that outlives a restart",
    "disk.space": "there is room for `spool.max_bytes`",
    "disk.flush": "how long a flush to the disk takes",
    "port.free": "`http.listen` is free, or held by the service that runs here",
    "service.state": "where it runs: what it says of itself, as in `/status`",
}
