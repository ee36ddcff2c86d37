"""Every state that the forwarder can be in, with every reason that it can have: a closed set, and what each means.

Owns: the words of `state` and `reason` in /status, in the log and in the metrics. They are never renamed, only added
to; `docs/runbook.md` has a section for each. What the publisher reports and does not stand here is shown as `unknown`.
"""

from __future__ import annotations

UNKNOWN = "unknown"

_DEGRADED = {
    "starting": "The receiver has not yet subscribed since the start.",
    "fabric_unreachable": "There is no connection to the DXL fabric, so events are being missed.",
    "certificate_expired": "There is no connection to the DXL fabric, and a certificate for it has ended.",
    "deaf": "Connected to the fabric, yet neither the canary nor an event comes back.",
    "subscription_refused": "The DXL broker refuses the subscription to a topic.",
    "events_withheld": "Other members receive events on a topic from which nothing arrives here.",
    "spool_not_writable": "The disk takes nothing, so events that come are kept in memory and then lost.",
    "spool_displaced": "The spool's file was deleted or replaced while it was in use.",
    "events_dropped": "Events were lost for good within the last minute.",
    "dead_letters": "Many of the events of the last minute became dead letters.",
    "stalled": "A loop of the main process makes no progress; it ends itself, to be started again.",
    "ledger_imbalance": "What came in is not what went out and what is here: a defect of the forwarder.",
}

_BLOCKED = {
    "authentication": "Kafka refuses the user's name or password.",
    "sasl_mechanism": "The listener of Kafka wants another way to log in, or none.",
    "tls": "TLS with Kafka fails: a certificate, an authority, or only one side speaks it.",
    "unknown_topic": "A topic of the output does not exist.",
    "invalid_topic": "The name of a topic is none that Kafka takes.",
    "topic_authorization": "The user lacks a right on a topic of the output.",
    "group_authorization": "Kafka refuses the user a right on a consumer group.",
    "cluster_authorization": "Kafka refuses the user a right on the cluster, or idempotent writes.",
    "transactional_id_authorization": "The user may not use the transactional id, which is the group's name.",
    "transactions_unavailable": "The cluster answers and cannot do transactions.",
    "unsupported_version": "The brokers, or the format of a topic, are too old.",
    "unsupported_codec": "Records are compressed with a codec that this installation cannot decode.",
    "producer_options": "kafka.producer has an option that kafka-python does not take.",
    "clock": "Kafka refuses the time of receipt and the time of now: a clock is wrong.",
    "cannot_start": "The publisher process cannot be started: a secret cannot be read, or the machine has no room.",
    "registry_authentication": "The schema registry refuses the user's name or password.",
    "registry_authorization": "The user may not read or write the subjects in the schema registry.",
    "registry_tls": "TLS with the schema registry fails.",
    "registry_url": "What answers at kafka.schema_registry.url is no such API.",
    "registry_format": "The spool holds events of a format that is no longer registered.",
    "registry_incompatible": "The schema registry holds the schema for incompatible with the one that it has.",
    "registry_refused": "The schema registry refuses the schema as invalid.",
    "registry_client": "The client of schema registries is not installed.",
}

_BUFFERING = {
    "connecting": "There has been no connection to Kafka yet.",
    "connection": "The brokers of Kafka cannot be reached.",
    "timeout": "Kafka has not answered in time, and the cause is not known.",
    "kafka_slow": "Kafka has not yet answered for the batch that was sent.",
    "behind": "Events wait for longer than half a minute, though nothing fails.",
    "leader_election": "A partition of the output has no leader.",
    "not_enough_replicas": "A partition of the output has fewer replicas in sync than min.insync.replicas.",
    "quota": "The brokers hold this client back by a quota.",
    "stuck": "Kafka answers and the producer makes no progress; it is being replaced.",
    "spool": "The main process has not confirmed what was published; the disk is slow or full.",
    "renewed": "A producer could not be ended after an error; its process is being replaced.",
    "transactions_unavailable": "The coordinator of transactions does not answer.",
    "open_transaction": "Somebody's open transaction hides records of the output from readers.",
    "topic_cut": "A topic of the output was cut or made anew while it was read.",
    "registry": "The schema registry cannot be reached or fails.",
    UNKNOWN: "Kafka or its client reports an error that the forwarder has no name for.",
}

_WELL = {
    "receiver_not_replaced": "Events are received over the old connection; a new one, which was to replace it, fails.",
    "output_compacted": "A topic of the output is compacted, so that Kafka forgets events.",
    "certificate_ends_soon": "A certificate ends within a week.",
}

CONDITIONS: dict[str, dict[str, str]] = {
    "ok": {"ok": "Events are received and stand in Kafka within seconds.", **_WELL},
    "standby": {"standby": "Events are received, and another member of the group publishes them.", **_WELL},
    "buffering": _BUFFERING,
    "blocked": _BLOCKED,
    "degraded": _DEGRADED,
}
"""The meaning of each reason, by state."""

STATES = tuple(CONDITIONS)
