"""Each foreign package appears at one edge only, and the children load no more than they need."""

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
    "kafka": ("publisher/", "kafka_queries.py"),
    "confluent_kafka": ("publisher/registry.py",),
    "sqlite3": ("spool/",),
    "prometheus_client": ("metrics.py", "distribution.py", "http/", "supervisor/supervisor.py"),
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
