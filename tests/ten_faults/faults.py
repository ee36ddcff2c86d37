"""The ten faults: how each is made, and what must then be shown of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.harness.fake_fabric import Behaviour, FakeFabric
from tests.harness.load import FabricPublisher
from tests.harness.mosquitto import Mosquitto
from tests.harness.waiting import wait_until
from tests.ten_faults.stage import EVENTS, SHORT_LIFE, USER, Stage

_MORE = range(EVENTS, 2 * EVENTS)


@dataclass(frozen=True)
class Fault:
    """One of the ten. It is over when its stage is, unless it says how."""

    name: str
    make: Callable[[Stage], object]
    reasons: tuple[tuple[str, str], ...]
    """State and reason that name the true cause; any of them."""
    check: tuple[str, ...]
    """The lines of `check --connect` that must name it."""
    says: str = ""
    """Stands in the detail once the forwarder has found out; its first words may be those of the loss alone."""
    mend: Callable[[Stage], object] = lambda _stage: None
    small_disk: bool = False
    deaf: bool = False
    short_lived: bool = False
    """Whether the certificate ends soon after the start."""


def _stop_fabric(stage: Stage) -> None:
    assert isinstance(stage.fabric, Mosquitto)
    stage.fabric.stop()


def _make_deaf(stage: Stage) -> None:
    assert isinstance(stage.fabric, FakeFabric)
    stage.fabric.behaviour = Behaviour.DEAF


def _let_certificate_expire(stage: Stage) -> None:
    """It ends while the connection stands, which lives on; the broker refuses the next one."""
    assert isinstance(stage.fabric, Mosquitto)
    assert stage.certificate_ends is not None
    ends = stage.certificate_ends
    wait_until(lambda: datetime.now(UTC) > ends, timeout=SHORT_LIFE.total_seconds(), what="its end")
    stage.fabric.restart()


def _kill_kafka(stage: Stage) -> None:
    stage.kafka.kill()
    stage.publish(_MORE)


def _hang_kafka(stage: Stage) -> None:
    stage.kafka.hang()
    stage.publish(_MORE)


def _spoil_password(stage: Stage) -> None:
    """Kafka lets nobody stay whose password has changed only where he must log in again: at the next producer."""
    stage.password.write_text("wrong-password-5521")
    stage.forwarder.kill_part("publisher")
    stage.publish(_MORE)


def _revoke(stage: Stage) -> None:
    stage.kafka.administration.revoke(USER, "write", name=stage.topics.detection)
    stage.publish(_MORE)


def _delete_topic(stage: Stage) -> None:
    stage.kafka.administration.delete_topic(stage.topics.detection)
    stage.publish(_MORE)


def _fill_disk(stage: Stage) -> None:
    """Somebody else writes until nothing is left, while Kafka takes nothing: the spool must grow and cannot."""
    stage.kafka.hang()
    with (stage.forwarder.spool_directory / "somebody-elses-file").open("wb") as file:
        disk = os.statvfs(file.fileno())
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize)
    # More than what the spool has kept in reserve for such a day.
    stage.publish(range(EVENTS, 40_000))


def _flood(stage: Stage) -> None:
    with FabricPublisher(fabric=stage.fabric) as publisher:
        publisher.publish(b"no event %d" % number for number in range(5_000))


FAULTS = (
    Fault("fabric down", _stop_fabric, (("degraded", "fabric_unreachable"),), ("fabric.tcp",), says="refused"),
    Fault("fabric deaf", _make_deaf, (("degraded", "deaf"),), ("fabric.canary",), deaf=True),
    Fault(
        "certificate expired", _let_certificate_expire, (("degraded", "certificate_expired"),),
        ("certificate.expiry", "fabric.tls"), short_lived=True,
    ),
    Fault("wrong password", _spoil_password, (("blocked", "authentication"),), ("kafka.login",)),
    Fault("ACL missing", _revoke, (("blocked", "topic_authorization"),), ("topic.rights",)),
    Fault("topic missing", _delete_topic, (("blocked", "unknown_topic"),), ("topic.exists",)),
    Fault("poison flood", _flood, (("degraded", "dead_letters"),), ("service.state",)),
    Fault(
        "disk full", _fill_disk, (("degraded", "spool_not_writable"), ("degraded", "events_dropped")), ("disk.space",),
        mend=lambda stage: stage.kafka.resume(), small_disk=True,
    ),
    Fault(
        "Kafka hung", _hang_kafka, (("buffering", "connection"), ("buffering", "timeout")), ("kafka.server",),
        mend=lambda stage: stage.kafka.resume(),
    ),
    Fault(
        "Kafka down", _kill_kafka, (("buffering", "connection"),), ("kafka.server",),
        mend=lambda stage: stage.kafka.restart(),
    ),
)  # fmt: skip
"""In an order in which the one Kafka is hurt for good only at the end."""
