"""Every metric in one place: name, type, labels and help. `Distribution` counts many values at once."""

from __future__ import annotations

import platform
import threading
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tie_forwarder import __version__
from tie_forwarder.events.reasons import Reason as DeadLetterReason
from tie_forwarder.filters import FILTER_NAMES
from tie_forwarder.group.commands import Reason
from tie_forwarder.status.conditions import CONDITIONS, STATES


class Distribution(Collector):
    """How often values of each size occurred. Thread-safe."""

    def __init__(self, name: str, documentation: str, *, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        """`bounds` are the upper ends of the buckets, ascending; the bucket without an end comes by itself."""
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(map(float, bounds))
        self._labels = (*map(floatToGoString, self._bounds), "+Inf")
        self._counts = [0] * len(self._labels)
        self._sum = 0.0
        self._lock = threading.Lock()
        registry.register(self)

    def observe_all(self, values: Iterable[float]) -> None:
        """Counts the values."""
        bounds, counts = self._bounds, self._counts
        with self._lock:
            for value in values:
                counts[bisect_left(bounds, value)] += 1
                self._sum += value

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The metric without its values: what the registry asks for its names."""
        yield HistogramMetricFamily(self._name, self._documentation)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The metric as it is now."""
        with self._lock:
            buckets, total = list(accumulate(self._counts)), self._sum
        yield HistogramMetricFamily(
            self._name,
            self._documentation,
            buckets=list(zip(self._labels, map(float, buckets), strict=True)),
            sum_value=total,
        )


ROLES = ("standby", "taking_over", "publishing")
DROP_REASONS = ("spool_full", "disk_full", "receiver_queue_full", "receiver_lost", "refused", "corrupt")
RESTART_REASONS = (
    "start",
    "exited",
    "heartbeat_late",
    "canary_late",
    "connection_lost",
    "subscription",
    "error",
    "reload",
)
PUBLISH_ERRORS = {
    "transient": (
        "connection", "timeout", "leader_election", "not_enough_replicas", "quota", "stuck", "spool", "renewed",
        "transactions_unavailable", "open_transaction", "topic_cut", "registry", "unknown",
    ),
    "blocked": (
        "authentication", "sasl_mechanism", "tls", "unknown_topic", "invalid_topic", "topic_authorization",
        "group_authorization", "cluster_authorization", "transactional_id_authorization", "transactions_unavailable",
        "unsupported_version", "unsupported_codec", "producer_options", "clock", "registry_authentication",
        "registry_authorization", "registry_tls", "registry_url", "registry_format", "registry_incompatible",
        "registry_refused", "registry_client",
    ),
    "poison": ("too_large", "invalid_record", "invalid_timestamp", "policy_violation"),
    "fenced": ("fenced",),
}  # fmt: skip
"""The codes of Kafka's errors by class; a test holds them against what the publisher can report."""

TAKEOVERS = tuple(reason.value for reason in Reason if reason is not Reason.RENEWED)
UNKNOWN_KIND = "unknown"

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
_DELAYS = (1, 2, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400)
_SIZES = (256, 512, 1024, 2048, 4096, 16384, 65536, 262144, 1048588)


class Metrics:
    """The metrics as attributes. prometheus_client's objects are thread-safe."""

    def __init__(self, registry: CollectorRegistry, *, kinds: Sequence[str], topics: Sequence[str]) -> None:
        self.registry = registry
        self.kinds = (*kinds, UNKNOWN_KIND)
        self._topics = tuple(dict.fromkeys(topics))
        self._add_events()
        self._add_spool()
        self._add_publisher()
        self._add_receiver()
        self._add_process()
        self._create_labels()

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"tie_forwarder_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"tie_forwarder_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"tie_forwarder_{name}", text, buckets=buckets, registry=self.registry)

    def _distribution(self, name: str, text: str, bounds: Sequence[float]) -> Distribution:
        """For what is counted for every event."""
        return Distribution(f"tie_forwarder_{name}", text, bounds=bounds, registry=self.registry)

    def _add_events(self) -> None:
        self.received = self._counter("events_received", "Events taken from the fabric.", ["kind"])
        self.published = self._counter("events_published", "Records that Kafka has acknowledged.", ["topic"])
        self.settled = self._counter("events_settled", "Events found in the output, published by another or before.")
        self.duplicate = self._counter("events_duplicate", "Events that arrived again and were kept once.")
        self.dead_lettered = self._counter("events_dead_lettered", "Events that became dead letters.", ["reason"])
        self.filtered = self._counter("events_filtered", "Valid events that a filter keeps back.", ["filter"])
        self.dropped = self._counter("events_dropped", "Events lost for good.", ["reason"])
        self.unknown_fields = self._counter("unknown_fields", "Fields that no model knows; they are kept.")
        self.ledger_imbalance = self._gauge(
            "ledger_imbalance", "What came in minus what went out and what is here; 0 unless events were lost unseen."
        )

    def _add_spool(self) -> None:
        self.spool_events = self._gauge("spool_events", "Records in the spool.")
        self.spool_bytes = self._gauge("spool_bytes", "Bytes of the spool's file in use.")
        self.spool_limit_bytes = self._gauge("spool_limit_bytes", "Limit of the spool in bytes.")
        self.spool_disk_free = self._gauge("spool_disk_free_bytes", "Room on the disk of the spool in bytes.")
        self.spool_oldest = self._gauge(
            "spool_oldest_event_timestamp_seconds", "Time of receipt of the oldest record in the spool; 0 when empty."
        )
        self.spool_commit = self._histogram("spool_commit_duration_seconds", "Duration of a commit to the disk.", _FAST)
        self.spool_corrupt = self._counter("spool_corrupt_records", "Records of the spool that could not be read.")

    def _add_publisher(self) -> None:
        self.publish_duration = self._histogram("publish_duration_seconds", "From first send to last answer.", _SLOW)
        self.publish_errors = self._counter("publish_errors", "Errors of Kafka.", ["class", "code"])
        self.kafka_connected = self._gauge("kafka_connected", "1 while the publisher has a producer.")
        self.publisher_restarts = self._counter("publisher_restarts", "Starts of the publisher process.", ["reason"])
        self.record_bytes = self._distribution("record_bytes", "Size of a record's value in bytes.", _SIZES)
        self.group_info = self._gauge("group_info", "Group and member; always 1.", ["group", "member"])
        self.group_role = self._gauge("group_role", "1 for the role that this member has.", ["role"])
        self.group_takeovers = self._counter("group_takeovers", "Times that this member took over.", ["reason"])
        self.end_to_end = self._distribution("end_to_end_latency_seconds", "From receipt to Kafka's answer.", _SLOW)
        self.detection_delay = self._distribution(
            "detection_delay_seconds", "From the endpoint's detection to Kafka's answer; whole seconds.", _DELAYS
        )

    def _add_receiver(self) -> None:
        self.dxl_connected = self._gauge(
            "dxl_connected", "1 while connected and subscribed, and the canary comes back."
        )
        self.receiving = self._counter(
            "receiving_seconds", "Seconds in which events could be received, as far as the canary shows."
        )
        self.dxl_connects = self._counter("dxl_connects", "Connections made to the fabric.")
        self.dxl_last_event = self._gauge("dxl_last_event_timestamp_seconds", "Time of receipt of the last event.")
        self.canary = self._histogram("dxl_canary_round_trip_seconds", "Round trip of the canary.", _FAST)
        self.receiver_restarts = self._counter("receiver_restarts", "Starts of the receiver process.", ["reason"])
        self.receiver_queue = self._gauge("receiver_queue_events", "Messages waiting in the receiver.")

    def _add_process(self) -> None:
        self.certificate_expiry = self._gauge(
            "tls_certificate_expiry_timestamp_seconds", "When a certificate ends.", ["role"]
        )
        self.state = self._gauge("state", "1 for the state that the forwarder is in.", ["state"])
        self.state_since = self._gauge("state_since_timestamp_seconds", "When state or reason last changed.")
        self.problem = self._gauge("problem", "1 while this is so; the worst makes the state.", ["state", "reason"])
        build = self._gauge("build_info", "Versions; always 1.", ["version", "python", "dxlclient", "kafka_python"])
        build.labels(__version__, platform.python_version(), version("dxlclient"), version("kafka-python")).set(1)
        ProcessCollector(registry=self.registry)

    def _create_labels(self) -> None:
        for kind in self.kinds:
            self.received.labels(kind)
        for topic in self._topics:
            self.published.labels(topic)
        for reason in DeadLetterReason:
            self.dead_lettered.labels(reason.value)
        for name in FILTER_NAMES:
            self.filtered.labels(name)
        self._create_fault_labels()
        for role in ROLES:
            self.group_role.labels(role)
        for state, reasons in CONDITIONS.items():
            self.state.labels(state)
            for condition in reasons:
                self.problem.labels(state, condition)

    def _create_fault_labels(self) -> None:
        for drop_reason in DROP_REASONS:
            self.dropped.labels(drop_reason)
        for restart_reason in RESTART_REASONS:
            self.publisher_restarts.labels(restart_reason)
            self.receiver_restarts.labels(restart_reason)
        for error_class, codes in PUBLISH_ERRORS.items():
            for code in codes:
                self.publish_errors.labels(error_class, code)
        for takeover in TAKEOVERS:
            self.group_takeovers.labels(takeover)

    def set_state(self, state: str) -> None:
        """Shows `state` and no other."""
        for name in STATES:
            self.state.labels(name).set(name == state)

    def set_problems(self, problems: Collection[tuple[str, str]]) -> None:
        """Shows these pairs of state and reason and no others."""
        for state, reasons in CONDITIONS.items():
            for reason in reasons:
                self.problem.labels(state, reason).set((state, reason) in problems)

    def set_role(self, role: str) -> None:
        """Shows `role` and no other."""
        for name in ROLES:
            self.group_role.labels(name).set(name == role)
