"""The parts of Grafana's dashboards as plain JSON values: panels, queries, variables, colours.

Only what the dashboards here need. Checked against Grafana's own schema by the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
GREEN, BLUE, YELLOW, ORANGE, RED, GREY = "green", "blue", "yellow", "orange", "red", "text"
STATE_COLOURS = {"ok": GREEN, "standby": BLUE, "buffering": YELLOW, "blocked": ORANGE, "degraded": RED}


class Query(NamedTuple):
    """One expression of a panel."""

    expression: str
    legend: str = ""


class Place(NamedTuple):
    """Where a panel is, in Grafana's grid of 24 columns."""

    x: int
    y: int
    width: int
    height: int


def panel(
    kind: str,
    title: str,
    description: str,
    place: Place,
    queries: Sequence[Query],
    *,
    instant: bool = False,
    unit: str = "short",
    options: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    overrides: Sequence[Json] = (),
) -> Json:
    """A panel without its id, which the dashboard gives it."""
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"x": place.x, "y": place.y, "w": place.width, "h": place.height},
        "targets": [_target(letter, query, instant) for letter, query in zip("ABCDEFGH", queries, strict=False)],
        "fieldConfig": {"defaults": {"unit": unit, **(defaults or {})}, "overrides": list(overrides)},
        "options": dict(options or {}),
    }


def _target(letter: str, query: Query, instant: bool) -> Json:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "instant": instant,
        "range": not instant,
    }


def stat(
    title: str,
    description: str,
    place: Place,
    query: Query,
    *,
    steps: Sequence[tuple[float | None, str]] = ((None, GREY),),
    unit: str = "short",
    show_name: bool = False,
    colours: Mapping[str, str] | None = None,
    no_value: str = "",
    decimals: int | None = None,
) -> Json:
    """A number, or with `show_name` the name of each series that there is."""
    defaults: Json = {"thresholds": thresholds(steps), "color": {"mode": "thresholds"}, "mappings": []}
    if no_value:
        defaults["noValue"] = no_value
    if decimals is not None:
        defaults["decimals"] = decimals
    return panel(
        "stat", title, description, place, [query], instant=True, unit=unit, defaults=defaults,
        overrides=[_coloured(name, colour) for name, colour in (colours or {}).items()],
        options={
            "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
            "orientation": "auto", "textMode": "name" if show_name else "value",
            "colorMode": "background", "graphMode": "none", "justifyMode": "auto",
        },
    )  # fmt: skip


def graph(
    title: str,
    description: str,
    place: Place,
    queries: Sequence[Query],
    *,
    unit: str = "short",
    colours: Mapping[str, str] | None = None,
    stacked: bool = False,
    least: float | None = 0,
    most: float | None = None,
) -> Json:
    """Lines over time."""
    defaults: Json = {
        "color": {"mode": "palette-classic"},
        "custom": {
            "drawStyle": "line", "lineWidth": 2, "fillOpacity": 25 if stacked else 8, "showPoints": "never",
            "spanNulls": False, "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        },
    }  # fmt: skip
    if least is not None:
        defaults["min"] = least
    if most is not None:
        defaults["max"] = most
    return panel(
        "timeseries", title, description, place, queries, unit=unit, defaults=defaults,
        overrides=[_coloured(name, colour) for name, colour in (colours or {}).items()],
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    )  # fmt: skip


def timeline(
    title: str, description: str, place: Place, queries: Sequence[Query], *, words: Sequence[tuple[str, str, str]]
) -> Json:
    """Which of some values held when; `words` are value, text and colour."""
    mapping = {
        "type": "value",
        "options": {
            value: {"text": text, "color": colour, "index": index} for index, (value, text, colour) in enumerate(words)
        },
    }
    return panel(
        "state-timeline", title, description, place, queries,
        defaults={"mappings": [mapping], "color": {"mode": "thresholds"}, "thresholds": thresholds([(None, GREY)]),
                  "custom": {"lineWidth": 0, "fillOpacity": 80}},
        options={
            "mergeValues": True, "showValue": "auto", "alignValue": "left", "rowHeight": 0.85,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )  # fmt: skip


def thresholds(steps: Sequence[tuple[float | None, str]]) -> Json:
    """Colours from values on; None is below all."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _coloured(name: str, colour: str) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
    }


def choice(name: str, label: str, expression: str) -> Json:
    """A variable whose values Prometheus gives."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": expression, "refId": name},
        "refresh": 2,
        "sort": 1,
        "includeAll": False,
        "multi": False,
    }


def dashboard(uid: str, title: str, description: str, variables: Sequence[Json], panels: Sequence[Json]) -> Json:
    """A dashboard that can be provisioned or imported."""
    source = {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "refresh": 1}
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["tie-forwarder"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "schemaVersion": 39,
        "templating": {"list": [source, *variables]},
        "links": [
            {
                "type": "dashboards",
                "title": "tie-forwarder",
                "tags": ["tie-forwarder"],
                "asDropdown": False,
                "icon": "external link",
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "tooltip": "",
                "url": "",
            }
        ],
        "panels": [{"id": number, **each} for number, each in enumerate(panels, 1)],
    }
