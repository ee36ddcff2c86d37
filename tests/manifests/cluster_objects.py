"""Kubernetes' objects as they stand in files.

Owns: reading them, and Kubernetes' own schemas. Must not: know what a forwarder is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

VERSIONS: Sequence[str] = ("1.30", "1.37")
"""The oldest and the newest Kubernetes that the manifests are for."""

Object = dict[str, Any]


def objects_of(text: str) -> list[Object]:
    """Every object of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]


def objects_in(folder: Path) -> list[Object]:
    """Every object of a folder's files that Kubernetes itself knows, in the order of the file names."""
    found: list[Object] = []
    for file in sorted(folder.glob("*.yaml")):
        found += objects_of(file.read_text(encoding="utf-8"))
    return [item for item in found if "kustomize" not in item.get("apiVersion", "kustomize")]


def one(objects: Iterable[Object], kind: str) -> Object:
    """The object of that kind; `ValueError` when there is not exactly one."""
    (found,) = (item for item in objects if item["kind"] == kind)
    return found


def validate(item: Object) -> None:
    """Hold it against the strict schemas of all `VERSIONS`: no unknown field; raises with the place."""
    for version in VERSIONS:
        kubernetes_validate.validate(item, version, strict=True)
