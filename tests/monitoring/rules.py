"""The shipped rules: read, searched for names, and made quick for tests.

The transformation that makes them quick is: every `for` is divided by 60 and is a second at least, and every range of
30 minutes or less in an expression is divided by 20 and is ten seconds at least. Thresholds and everything else stay,
so what fires under quick rules fires under the shipped ones, only later.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from tie_forwarder.status.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules.yml"

_NAMES = re.compile(r"\btie_forwarder[a-z_]*(?::[a-z0-9_:]+)?")
_RANGE = re.compile(r"\[(\d+[smhd])\]")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_DIVIDED = 1800


def groups() -> list[dict[str, Any]]:
    """The groups of the file."""
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return found


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """The rules by name; `kind` is alert or record."""
    return {rule[kind]: rule for group in groups() for rule in group["rules"] if kind in rule}


def seconds(duration: str) -> int:
    """A duration with one unit, as Prometheus writes it."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def quick_rules(path: Path) -> Path:
    """Writes the rules as above; returns the path."""
    content = {"groups": groups()}
    for group in content["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = f"{max(1, seconds(rule['for']) // 60)}s"
            rule["expr"] = _RANGE.sub(_shorter, str(rule["expr"]))
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _shorter(found: re.Match[str]) -> str:
    span = seconds(found.group(1))
    return f"[{max(10, span // 20)}s]" if span <= _LONGEST_DIVIDED else found.group(0)


def names_in(expression: str) -> set[str]:
    """The forwarder's metrics and recorded series that an expression asks for."""
    return set(_NAMES.findall(expression))


def known_names() -> set[str]:
    """The series that a forwarder exports or a rule records."""
    registry = CollectorRegistry()
    Metrics(registry, kinds=["detection"], topics=["tie.file.detections"])
    exported = {sample.name for family in registry.collect() for sample in family.samples}
    labelled = {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()}
    return exported | labelled | set(rules("record"))
