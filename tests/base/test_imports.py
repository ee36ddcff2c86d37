"""Imports go down only, without cycles; each foreign package has one edge; the children load no more than they need."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tie_forwarder

PACKAGE = Path(tie_forwarder.__file__).parent

EDGES = {
    "dxlclient": ("receiver/",),
    "dxltieclient": ("receiver/",),
    "kafka": ("kafka/", "publisher/", "dead_letters/producer.py", "config/producer_options.py"),
    "confluent_kafka": ("kafka/registry.py",),
    "sqlite3": ("spool/",),
    "prometheus_client": ("status/metrics.py", "http/", "supervisor/supervisor.py"),
    "waitress": ("http/",),
    "cryptography": ("config/certificates.py", "demo/"),
}
"""Where each package may be imported; the supervisor makes the registry that it injects."""


def imports_of(path: Path) -> Iterator[str]:
    """The top-level names of everything that a module imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", EDGES)
def test_a_foreign_package_is_imported_at_its_edge_only(package: str) -> None:
    importers = [
        path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py")) if package in imports_of(path)
    ]
    assert importers, f"{package} is imported nowhere: this test watches the wrong name"
    assert [path for path in importers if not path.startswith(EDGES[package])] == []


def loaded_by(module: str) -> set[str]:
    """The top-level packages in a fresh interpreter that has imported the module."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "strangers"),
    [
        ("tie_forwarder.receiver.process", {"pydantic", "kafka", "sqlite3", "prometheus_client", "yaml"}),
        (
            "tie_forwarder.publisher.process",
            {"pydantic", "dxlclient", "prometheus_client", "yaml", "confluent_kafka"},
        ),
    ],
)
def test_a_child_loads_nothing_that_only_others_need(module: str, strangers: set[str]) -> None:
    assert loaded_by(module) & strangers == set()


BELOW = {
    "base": "",
    "config": "base",
    "events": "base",
    "group": "base",
    "processes": "base events",
    "filters": "config events",
    "records": "events",
    "intake": "filters records",
    "spool": "records",
    "receiver": "config processes",
    "kafka": "records group processes",
    "publisher": "kafka spool",
    "status": "filters group",
    "http": "status",
    "settings": "config records group",
    "supervisor": "http intake publisher receiver settings",
    "check": "settings intake kafka receiver spool",
    "dead_letters": "settings intake kafka spool",
    "consumer": "records",
    "demo": "supervisor",
    "cli": "check consumer dead_letters demo supervisor",
}
"""Which packages each package may import; what those may import is included."""

BASE = {"__init__", "__main__", "__version__", "backoff", "errors", "interpreter", "interruption", "log", "printing"}


def may_import(package: str) -> set[str]:
    """The package, and everything below it."""
    return {package}.union(*map(may_import, BELOW[package].split()))


def package_of(module: str) -> str:
    """The package of a module of ours, or its own name where it is one at the top level."""
    first = ([*module.split("."), "__init__"])[1]
    return "base" if first in BASE else first


def modules() -> dict[str, set[str]]:
    """Each of our modules with those of ours that it imports, anywhere in it and for types alone, too."""
    trees = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("tie_forwarder", *path.relative_to(PACKAGE).with_suffix("").parts))
        trees[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    found: dict[str, set[str]] = {name: set() for name in trees}
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tie_forwarder":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    found[name].add(inner if inner in trees else str(node.module))
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names if alias.name in trees}
    return found


def test_imports_go_down_only() -> None:
    upward = [
        f"{name} -> {imported}"
        for name, all_imported in modules().items()
        for imported in all_imported
        if name != "tie_forwarder.__main__" and package_of(imported) not in may_import(package_of(name))
    ]
    assert upward == []


def test_no_imports_form_a_cycle() -> None:
    left = modules()
    assert len(left) > 100
    while leaves := {name for name, imported in left.items() if not imported - {name} & left.keys()}:
        left = {name: imported for name, imported in left.items() if name not in leaves}
    assert left == {}
