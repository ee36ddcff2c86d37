"""docs/metrics.md, made from `tie_forwarder.status.metrics`: every metric with its type, labels and meaning."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from tests.monitoring.rules import ROOT
from tie_forwarder.events.kinds import BY_TOPIC
from tie_forwarder.status.metrics import Metrics

PAGE = ROOT / "docs" / "metrics.md"

_HEAD = """\
# Metrics

Made from `tie_forwarder/status/metrics.py` by `make monitoring`; do not edit.

`/metrics` serves them in Prometheus' text form, or as OpenMetrics to a client that asks for it. Label values are of
closed sets and exist from the start at 0, so that a rate over a rare event is defined. Times are timestamps, never
ages. Counters begin at 0 with each start of the process; the events in the spool survive it. What the rules in
[deploy/prometheus](../deploy/prometheus/rules.yml) record from these has a colon in its name.

"""
_OPEN = {
    "topic": "the topics under `kafka.topics`",
    "group": "`group.name`",
    "member": "`group.member`",
    "version": "",
    "python": "",
    "dxlclient": "",
    "kafka_python": "",
}
"""Labels whose values the configuration gives."""
_ROLES_OF_CERTIFICATES = ("dxl_client", "dxl_brokers", "kafka_client", "kafka_brokers")


def render() -> str:
    """The page's text."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, kinds=[kind.name for kind in BY_TOPIC.values()], topics=["topic"])
    for role in _ROLES_OF_CERTIFICATES:
        metrics.certificate_expiry.labels(role)
    metrics.group_info.labels("group", "member")
    families = list(registry.collect())
    lines = ["| Metric | Type | Meaning |", "|---|---|---|"]
    lines += [f"| `{_name(family)}` | {family.type} | {_meaning(family)} |" for family in families]
    sections = ["", "## Labels", ""]
    for family in families:
        sections += _labels(family)
    return _HEAD + "\n".join(lines + sections).rstrip() + "\n"


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _meaning(family: Metric) -> str:
    names = sorted({label for sample in family.samples for label in sample.labels if label != "le"})
    labels = f" By {', '.join(f'`{name}`' for name in names)}." if names else ""
    return family.documentation + labels


def _labels(family: Metric) -> Iterator[str]:
    """A section for a metric with labels: every value that each can have, together with those it occurs with."""
    found = [sample.labels for sample in family.samples if not sample.name.endswith(("_created", "_bucket"))]
    names = [name for name in (found[0] if found else {}) if name != "le"]
    if not names:
        return
    yield f"### `{_name(family)}`"
    yield ""
    if names[0] in _OPEN:
        described = [f"`{name}`{f': {_OPEN[name]}' if _OPEN[name] else ''}" for name in names]
        yield f"{'; '.join(described)}."
    elif len(names) == 1:
        yield f"`{names[0]}`: {', '.join(f'`{labels[names[0]]}`' for labels in found)}."
    else:
        first, second = names
        for value in dict.fromkeys(labels[first] for labels in found):
            seconds = ", ".join(f"`{labels[second]}`" for labels in found if labels[first] == value)
            yield f'- `{first}="{value}"`, `{second}`: {seconds}.'
    yield ""
