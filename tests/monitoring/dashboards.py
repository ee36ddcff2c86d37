"""The dashboards of deploy/grafana: one forwarder on one screen, and a group."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.monitoring.panels import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    STATE_COLOURS,
    YELLOW,
    Json,
    Place,
    Query,
    choice,
    dashboard,
    graph,
    stat,
    timeline,
)
from tests.monitoring.rules import ROOT

DIRECTORY = ROOT / "deploy" / "grafana" / "dashboards"
ONE = '{job=~"tie-forwarder.*",instance="$instance"}'
_PUBLISHING = 'tie_forwarder_group_role{role="publishing"}'
_TAKING_OVER = 'tie_forwarder_group_role{role="taking_over"}'
IN_GROUP = '* on (job, instance) group_left (group, member) tie_forwarder_group_info{group="$group"}'


def one(name: str, *more: str) -> str:
    """A metric of the chosen forwarder, with further matchers."""
    matchers = ['job=~"tie-forwarder.*"', 'instance="$instance"', *more]
    return f"tie_forwarder_{name}{{{','.join(matchers)}}}"


def _state_codes() -> str:
    """The state as a number, in the order of the colours."""
    shown = [one("state", f'state="{state}"') for state in STATE_COLOURS]
    return " + ".join(f"{code} * max({series})" for code, series in enumerate(shown))


def overview() -> Json:
    """Is it working, since when not, why, what is lost, how long can it hold out."""
    return dashboard(
        "tie-forwarder-overview",
        "tie-forwarder",
        "Is it working, since when not, why, what is lost, and how long can it hold out.",
        [choice("instance", "Forwarder", 'label_values(tie_forwarder_group_info{job=~"tie-forwarder.*"}, instance)')],
        [*_words(), *_numbers(), *_lines()],
    )


def _words() -> Iterator[Json]:
    """First row: the state in words."""
    yield stat(
        "Is it working?", "The state, as in /status. No data: it cannot be scraped.", Place(0, 0, 5, 5),
        Query(f"{one('state')} == 1", "{{state}}"), show_name=True, colours=STATE_COLOURS, no_value="DOWN",
    )  # fmt: skip
    yield stat(
        "Since", "When state or reason last changed.", Place(5, 0, 4, 5),
        Query(f"{one('state_since_timestamp_seconds')} * 1000"), unit="dateTimeFromNow",
    )  # fmt: skip
    yield stat(
        "Why not?", "Everything that is not as it should be; docs/runbook.md has a section for each.",
        Place(9, 0, 10, 5),
        Query(f"{one('problem', 'reason!~`ok|standby`')} == 1", "{{state}}: {{reason}}"),
        show_name=True, steps=[(None, ORANGE)], no_value="nothing",
    )  # fmt: skip
    yield stat(
        "Certificates", "Days until the first certificate ends.", Place(19, 0, 5, 5),
        Query(f"(min({one('tls_certificate_expiry_timestamp_seconds')}) - time()) / 86400"),
        unit="d", decimals=0, steps=[(None, RED), (1, ORANGE), (7, YELLOW), (30, GREEN)],
    )  # fmt: skip


def _numbers() -> Iterator[Json]:
    """Second row: what is lost, and how long it can hold out."""
    yield stat(
        "Lost", "Events dropped for good within the time shown. They are gone.", Place(0, 5, 4, 4),
        Query(f"sum(increase({one('events_dropped_total')}[$__range]))"),
        decimals=0, steps=[(None, GREEN), (1, RED)],
    )  # fmt: skip
    yield stat(
        "Ledger", "What came in minus what went out and what is here; 0, or there is a defect.", Place(4, 5, 3, 4),
        Query(one("ledger_imbalance")), steps=[(None, RED), (0, GREEN), (1, RED)],
    )  # fmt: skip
    yield stat(
        "Able to receive", "Share of the last five minutes, as far as the canary shows.", Place(7, 5, 4, 4),
        Query(f"clamp_max(rate({one('receiving_seconds_total')}[5m]), 1)"),
        unit="percentunit", decimals=1, steps=[(None, RED), (0.9, YELLOW), (0.99, GREEN)],
    )  # fmt: skip
    yield stat(
        "Waiting", "Events in the spool.", Place(11, 5, 4, 4),
        Query(one("spool_events")), decimals=0, steps=[(None, GREEN), (1_000, YELLOW)],
    )  # fmt: skip
    yield stat(
        "The oldest has waited", "Age of the oldest event in the spool.", Place(15, 5, 4, 4),
        Query(f'tie_forwarder:oldest_event:seconds{ONE}'), unit="s", decimals=0,
        steps=[(None, GREEN), (30, YELLOW), (300, RED)],
    )  # fmt: skip
    yield stat(
        "Full in", "At the pace of the last ten minutes; only while the spool fills.", Place(19, 5, 5, 4),
        Query(f'tie_forwarder:spool_full:seconds{ONE}'), unit="s",
        steps=[(None, RED), (1_800, ORANGE), (21_600, YELLOW)], no_value="does not fill",
    )  # fmt: skip


def _lines() -> Iterator[Json]:
    """The rest: when it began, and what else happened then."""
    words = [(str(code), state, colour) for code, (state, colour) in enumerate(STATE_COLOURS.items())]
    yield timeline(
        "Since when", "The state over time.", Place(0, 9, 24, 3), [Query(_state_codes(), "state")], words=words
    )
    yield graph(
        "Events per second", "What comes from the fabric and what Kafka has acknowledged.", Place(0, 12, 12, 7),
        [
            Query(f"sum(rate({one('events_received_total')}[$__rate_interval]))", "received"),
            Query(f"sum(rate({one('events_published_total')}[$__rate_interval]))", "published"),
            Query(f"sum(rate({one('events_settled_total')}[$__rate_interval]))", "published by another member"),
            Query(f"sum(rate({one('events_filtered_total')}[$__rate_interval]))", "filtered"),
            Query(f"sum(rate({one('events_dead_lettered_total')}[$__rate_interval]))", "dead letters"),
            Query(f"sum(rate({one('events_dropped_total')}[$__rate_interval]))", "dropped"),
        ],
        unit="eps", colours={"received": BLUE, "published": GREEN, "dead letters": ORANGE, "dropped": RED},
    )  # fmt: skip
    yield graph(
        "Spool", "What waits, and how much it can take: its limit, or what the disk has left.", Place(12, 12, 12, 7),
        [
            Query(one("spool_bytes"), "in use"),
            Query(f"{one('spool_bytes')} + on (job, instance) tie_forwarder:spool_room:bytes", "full at"),
        ],
        unit="bytes", colours={"in use": BLUE, "full at": RED},
    )  # fmt: skip
    quantile = "histogram_quantile({0}, sum by (le) (rate({1}[$__rate_interval])))"
    yield graph(
        "From receipt to Kafka", "How long events take; the objective is five seconds.", Place(0, 19, 8, 7),
        [
            Query(quantile.format(share, one("end_to_end_latency_seconds_bucket")), name)
            for share, name in (("0.5", "half within"), ("0.99", "99 % within"))
        ],
        unit="s",
    )  # fmt: skip
    yield graph(
        "The neighbours", "Answer times: the canary over the fabric, Kafka, the disk.", Place(8, 19, 8, 7),
        [
            Query(quantile.format("0.99", one("dxl_canary_round_trip_seconds_bucket")), "canary, 99 %"),
            Query(quantile.format("0.99", one("publish_duration_seconds_bucket")), "Kafka, 99 %"),
            Query(quantile.format("0.99", one("spool_commit_duration_seconds_bucket")), "disk, 99 %"),
        ],
        unit="s",
    )  # fmt: skip
    yield graph(
        "What went wrong", "Per hour: processes replaced, errors of Kafka, dead letters by reason.",
        Place(16, 19, 8, 7),
        [
            Query(f"sum by (reason) (increase({one('receiver_restarts_total')}[1h]))", "receiver: {{reason}}"),
            Query(f"sum by (reason) (increase({one('publisher_restarts_total')}[1h]))", "publisher: {{reason}}"),
            Query(
                f"sum by (code) (increase({one('publish_errors_total')}[1h])) > 0", "Kafka: {{code}}",
            ),
            Query(
                f"sum by (reason) (increase({one('events_dead_lettered_total')}[1h])) > 0", "dead: {{reason}}",
            ),
        ],
    )  # fmt: skip


def in_group(expression: str) -> str:
    """An expression by member of the chosen group."""
    return f"{expression} {IN_GROUP}"


def group() -> Json:
    """Who publishes, who could, and whether all receive the same."""
    return dashboard(
        "tie-forwarder-group",
        "tie-forwarder: a group",
        "Who publishes, who could take over, whether all members receive the same, and whether the objectives are met.",
        [choice("group", "Group", "label_values(tie_forwarder_group_info, group)")],
        [*_members(), *_objectives(), *_comparison()],
    )


def _members() -> Iterator[Json]:
    yield stat(
        "Publishing", "The member that publishes.", Place(0, 0, 6, 4),
        Query(f"{in_group(_PUBLISHING)} == 1", "{{member}}"),
        show_name=True, steps=[(None, GREEN)], no_value="nobody",
    )  # fmt: skip
    yield stat(
        "Members that receive", "Each one is enough.", Place(6, 0, 4, 4),
        Query(f"sum({in_group('tie_forwarder_dxl_connected')})"), steps=[(None, RED), (1, YELLOW), (2, GREEN)],
    )  # fmt: skip
    yield stat(
        "Take-overs", "Within the time shown.", Place(10, 0, 4, 4),
        Query(f"sum({in_group('increase(tie_forwarder_group_takeovers_total[$__range])')})"), decimals=0,
        steps=[(None, GREEN), (6, YELLOW)],
    )  # fmt: skip
    yield stat(
        "Lost", "Events that a member dropped within the time shown; another may have had them.", Place(14, 0, 5, 4),
        Query(f"sum({in_group('increase(tie_forwarder_events_dropped_total[$__range])')})"), decimals=0,
        steps=[(None, GREEN), (1, RED)],
    )  # fmt: skip
    yield stat(
        "The oldest has waited", "In the spool of any member.", Place(19, 0, 5, 4),
        Query(f"max({in_group('tie_forwarder:oldest_event:seconds')})"), unit="s", decimals=0,
        steps=[(None, GREEN), (30, YELLOW), (300, RED)],
    )  # fmt: skip
    yield timeline(
        "Roles", "Who published when.", Place(0, 4, 12, 6),
        [Query(in_group(f"({_PUBLISHING} * 2 + ignoring (role) {_TAKING_OVER})"), "{{member}}")],
        words=[("0", "stands by", BLUE), ("1", "takes over", YELLOW), ("2", "publishes", GREEN)],
    )  # fmt: skip
    yield timeline(
        "Able to receive", "A member that does not receive is covered by the others.", Place(12, 4, 12, 6),
        [Query(in_group("tie_forwarder_dxl_connected"), "{{member}}")],
        words=[("0", "deaf", RED), ("1", "receives", GREEN)],
    )  # fmt: skip


def _objectives() -> Iterator[Json]:
    yield graph(
        "Late events", "Share that stands in Kafka later than five seconds after receipt, or waits; 1 % may.",
        Place(0, 10, 12, 6),
        [
            Query(f'tie_forwarder:late_events:ratio_{window}{{group="$group"}}', window)
            for window in ("5m", "1h", "6h", "3d")
        ],
        unit="percentunit",
    )  # fmt: skip
    yield graph(
        "Time in which nobody received", "Share; 0.1 % may. The long windows want a forwarder that is a day old.",
        Place(12, 10, 12, 6),
        [
            Query(f'tie_forwarder:deaf_time:ratio_{window}{{group="$group"}}', window)
            for window in ("5m", "1h", "6h", "3d")
        ],
        unit="percentunit",
    )  # fmt: skip


def _comparison() -> Iterator[Json]:
    rate = "sum by (job, instance) (rate(tie_forwarder_{0}[$__rate_interval]))"
    yield graph(
        "Received", "By member; all should receive the same.", Place(0, 16, 8, 7),
        [Query(in_group(rate.format("events_received_total")), "{{member}}")], unit="eps",
    )  # fmt: skip
    yield graph(
        "Published", "By member, stacked: one publishes at a time.", Place(8, 16, 8, 7),
        [Query(in_group(rate.format("events_published_total")), "{{member}}")], unit="eps", stacked=True,
    )  # fmt: skip
    yield graph(
        "Waiting", "Events in the spool of each member; those of who stands by are copies.", Place(16, 16, 8, 7),
        [Query(in_group("tie_forwarder_spool_events"), "{{member}}")],
    )  # fmt: skip


def all_dashboards() -> dict[str, Json]:
    """By the name of the file."""
    return {"overview.json": overview(), "group.json": group()}


def render(content: Json) -> str:
    """The text of the file."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
