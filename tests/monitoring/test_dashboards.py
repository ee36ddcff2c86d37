"""The dashboards are made from the code, are what Grafana's schema says, and every query of theirs has an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.conftest import MakeForwarder, MakePublisher
from tests.harness.forwarder import Forwarder
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.mosquitto import Mosquitto
from tests.harness.prometheus import Prometheus, promtool
from tests.harness.topics import Topics
from tests.monitoring.dashboards import DIRECTORY, all_dashboards, render
from tests.monitoring.panels import Json
from tests.monitoring.rules import ROOT, known_names, names_in, quick_rules

SCREEN_ROWS = 26
"""So many rows of Grafana's grid are seen at once on a usual screen."""


def panels() -> Iterator[tuple[str, Json]]:
    for name, content in all_dashboards().items():
        for panel in content["panels"]:
            yield f"{name}: {panel['title']}", panel


def test_the_files_are_made_from_the_code() -> None:
    for name, content in all_dashboards().items():
        assert (DIRECTORY / name).read_text(encoding="utf-8") == render(content), "run `make monitoring`"


def test_no_panel_covers_another_and_each_dashboard_is_one_screen() -> None:
    for name, content in all_dashboards().items():
        taken: set[tuple[int, int]] = set()
        for panel in content["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, f"{name}: {panel['title']}"
            taken |= cells
        assert max(x for x, _ in taken) < 24
        assert max(y for _, y in taken) < SCREEN_ROWS, name


def test_every_panel_says_what_it_shows_and_asks_for_what_exists() -> None:
    known = known_names()
    for name, panel in panels():
        assert panel["description"], name
        for target in panel["targets"]:
            assert names_in(target["expr"]) - known - {"tie_forwarder"} == set(), name


def test_grafana_finds_them_where_compose_puts_them() -> None:
    provisioning = DIRECTORY.parent / "provisioning"
    provider = yaml.safe_load((provisioning / "dashboards" / "tie-forwarder.yml").read_text(encoding="utf-8"))
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))
    services = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    path = provider["providers"][0]["options"]["path"]
    assert f"../grafana/dashboards:{path}:ro" in services["grafana"]["volumes"]
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    assert "prometheus" in services


def lost(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """What stands in ours and not in theirs."""
    if isinstance(ours, dict):
        if not isinstance(theirs, dict):
            return [path]
        return [each for key, value in ours.items() for each in lost(value, theirs.get(key), f"{path}.{key}")]
    if isinstance(ours, list):
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            return [path]
        return [
            each
            for number, (one, other) in enumerate(zip(ours, theirs, strict=True))
            for each in lost(one, other, f"{path}[{number}]")
        ]
    return [] if ours == theirs or ours is None else [f"{path}: {ours!r} became {theirs!r}"]


@pytest.mark.parametrize("name", all_dashboards())
def test_the_models_of_grafana_know_everything_that_stands_in_a_dashboard(name: str) -> None:
    register_default_plugins()
    content = all_dashboards()[name]
    read = json.loads(json.dumps(Dashboard.from_json(content), cls=JSONEncoder))
    assert lost(content, read) == []


@pytest.fixture
def forwarder(
    mosquitto: Mosquitto,
    kafka: KafkaCluster,
    topics: Topics,
    make_forwarder: MakeForwarder,
    make_publisher: MakePublisher,
) -> Forwarder:
    forwarder = make_forwarder(fabric=mosquitto, kafka=kafka, topics=topics)
    forwarder.start()
    return forwarder


@pytest.fixture
def prometheus(forwarder: Forwarder, tmp_path: Path) -> Iterator[Prometheus]:
    rules = quick_rules(tmp_path / "rules.yml")
    target = f"127.0.0.1:{forwarder.http_port}"
    with Prometheus(directory=tmp_path / "prometheus", targets=[target], rules=[rules]) as server:
        yield server


def filled(expression: str, variables: dict[str, str]) -> str:
    """An expression as Grafana sends it, over ten seconds."""
    values = {**variables, "__rate_interval": "10s", "__range": "10s"}
    found = re.sub(r"\$(__rate_interval|__range|instance|group)\b", lambda name: values[name.group(1)], expression)
    # As in the quick rules: there is no more than some seconds of data.
    return re.sub(r"\[(?:5m|1h)\]", "[10s]", found)


def test_every_query_of_the_dashboards_is_answered_by_a_real_prometheus_that_watches_a_real_forwarder(
    forwarder: Forwarder, prometheus: Prometheus, mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    publisher = make_publisher(mosquitto)
    variables = {"instance": f"127.0.0.1:{forwarder.http_port}", "group": forwarder.config["group"]["name"]}
    for first in range(0, 400, 100):
        scraped = f"tie_forwarder_end_to_end_latency_seconds_count >= {first}"
        prometheus.wait_for("a scrape", lambda asked=scraped: bool(prometheus.query(asked)), timeout=15.0)  # type: ignore[misc]
        publisher.publish_detections(range(first, first + 100))
    last = "tie_forwarder:deaf_time:ratio_6h + on (group) tie_forwarder:late_events:ratio_6h >= 0"
    prometheus.wait_for("the recording rules", lambda: bool(prometheus.query(last)), timeout=15.0)
    assert promtool("check", "metrics", text=forwarder.get("/metrics")[1]) == (0, "")
    unanswered = []
    for name, panel in panels():
        assert len(panel["targets"]) == len({target["refId"] for target in panel["targets"]})
        for target in panel["targets"]:
            found = prometheus.query(filled(target["expr"], variables))
            if not found and not may_be_empty(panel["title"], target["legendFormat"]):
                unanswered.append(f"{name}: {target['expr']}")
    assert unanswered == []
    for content in all_dashboards().values():
        for variable in content["templating"]["list"][1:]:
            metric = re.sub(r"label_values\((.*), \w+\)", r"\1", variable["query"]["query"])
            assert prometheus.query(metric)[0]["metric"][variable["name"]] == variables[variable["name"]]


def may_be_empty(title: str, legend: str) -> bool:
    """Where no answer is an answer: there is no problem, nothing fills, nothing is wrong, no day is over."""
    return (title, legend) in {
        ("Why not?", "{{state}}: {{reason}}"),
        ("Full in", ""),
        ("What went wrong", "Kafka: {{code}}"),
        ("What went wrong", "dead: {{reason}}"),
        ("Time in which nobody received", "3d"),
    }
