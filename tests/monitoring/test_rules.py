"""The shipped rules do what they say: each alert fires and does not fire, and asks for what a forwarder exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.harness.prometheus import promtool
from tests.monitoring.rules import PROMETHEUS, RULES, known_names, names_in, quick_rules, rules
from tie_forwarder.http.application import Application, Board
from tie_forwarder.status.metrics import Metrics

pytestmark = pytest.mark.usefixtures("provisioned")

CASES = yaml.safe_load((PROMETHEUS / "tests.yml").read_text(encoding="utf-8"))["tests"]
SEVERITIES = {"critical", "warning", "info"}


def test_promtool_finds_no_fault_in_rules_and_configuration() -> None:
    for arguments in (("check", "rules", str(RULES)), ("check", "config", str(PROMETHEUS / "prometheus.yml"))):
        code, text = promtool(*arguments)
        assert code == 0, text
        assert "WARNING" not in text.upper(), text


def test_every_case_comes_out_as_it_says() -> None:
    code, text = promtool("test", "rules", str(PROMETHEUS / "tests.yml"))
    assert code == 0, text


def fired(alert: str) -> list[bool]:
    """Whether each case about the alert wants it to fire."""
    tests = [test for case in CASES for test in case.get("alert_rule_test", ())]
    return [bool(test["exp_alerts"]) for test in tests if test["alertname"] == alert]


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    assert [alert for alert in rules("alert") if set(fired(alert)) != {True, False}] == []


def test_every_recording_rule_has_a_case_with_a_value() -> None:
    tried: set[str] = set()
    for case in CASES:
        for test in case.get("promql_expr_test", ()):
            tried |= names_in(test["expr"]) if test["exp_samples"] else set()
    assert set(rules("record")) - tried == set()


@pytest.mark.parametrize("kind", ["alert", "record"])
def test_every_rule_asks_for_metrics_that_exist(kind: str) -> None:
    known = known_names()
    for name, rule in rules(kind).items():
        texts = [rule["expr"], *rule.get("annotations", {}).values()]
        asked = set().union(*(names_in(text.replace("$externalLabels.tie_forwarder_docs", "")) for text in texts))
        assert asked - known == set(), name


def test_every_alert_says_how_bad_it_is_what_it_is_and_where_the_runbook_is() -> None:
    for name, rule in rules("alert").items():
        assert name.startswith("TieForwarder")
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"].endswith(f"{{{{ end }}}}/runbook.md#{name.lower()}")


def test_the_links_begin_where_the_external_label_says(tmp_path: Path) -> None:
    case: dict[str, Any] = {
        "interval": "1m",
        "external_labels": {"tie_forwarder_docs": "https://wiki.example.com"},
        "input_series": [{"series": 'x{a="b"}', "values": "1x10"}],
        "alert_rule_test": [
            {
                "eval_time": "6m",
                "alertname": "TieForwarderAbsent",
                "exp_alerts": [
                    {
                        "exp_labels": {"severity": "critical"},
                        "exp_annotations": {
                            **rules("alert")["TieForwarderAbsent"]["annotations"],
                            "runbook_url": "https://wiki.example.com/runbook.md#tieforwarderabsent",
                        },
                    }
                ],
            }
        ],
    }
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}))
    code, text = promtool("test", "rules", str(path))
    assert code == 0, text


def test_the_quick_rules_are_rules(tmp_path: Path) -> None:
    path = quick_rules(tmp_path / "rules.yml")
    assert promtool("check", "rules", str(path)).code == 0
    assert "for: 2s" in path.read_text(encoding="utf-8")


def application() -> Application:
    registry = CollectorRegistry()
    Metrics(registry, kinds=["detection"], topics=["tie.file.detections"])
    return Application(board=Board(), registry=registry)


def answer(accept: str) -> tuple[str, str]:
    """Content type and body of /metrics."""
    headers: dict[str, str] = {}
    environ = {"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET", "HTTP_ACCEPT": accept}
    body = b"".join(application()(environ, lambda status, found: headers.update(found)))
    return headers["Content-Type"], body.decode()


def test_openmetrics_is_offered_to_who_asks_for_it_and_the_text_form_to_all_others() -> None:
    kind, body = answer("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith("# EOF\n")
    families = text_string_to_metric_families(body)  # type: ignore[no-untyped-call]
    assert len(list(families)) > 30
    assert answer("*/*")[0].startswith("text/plain; version=0.0.4")
