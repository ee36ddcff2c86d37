"""The commands of docs/deploy.md about Kubernetes, taken from the text and given to kubectl.

There is no cluster: what would be sent is looked at instead.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.commands import commands
from tests.manifests.cluster_objects import Object, objects_of, one, validate
from tests.manifests.test_built import ROOT, go

pytestmark = [pytest.mark.manifests, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built from its Go module."""
    program = tmp_path_factory.mktemp("kubectl") / "kubectl"
    go("build", "-o", str(program), "./kubectl")
    return program


@pytest.fixture(scope="module")
def secrets(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """What the commands of the text make of the files that provisionconfig and the administrator wrote."""
    folder = tmp_path_factory.mktemp("secrets")
    for member in ("fabric-one", "fabric-two"):
        (folder / member).mkdir()
        for name in ("dxlclient.config", "ca-bundle.crt", "client.crt", "client.csr", "client.key"):
            (folder / member / name).write_text("content", encoding="utf-8")
    for name in ("kafka-password", "kafka-ca.crt"):
        (folder / name).write_text("content", encoding="utf-8")
    made = [line for line in commands("docs/deploy.md", "kubectl") if " create " in line]
    assert len(made) == 4
    return [made_of(kubectl, f"{line} --dry-run=client --output=yaml", folder) for line in made]


def made_of(kubectl: Path, line: str, folder: Path) -> Object:
    """The object that a command would make."""
    done = subprocess.run([str(kubectl), *line.split()[1:]], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    (item,) = objects_of(done.stdout)
    return item


def test_the_secrets_have_what_the_pods_mount(kubectl: Path, secrets: list[Object]) -> None:
    keys = {item["metadata"]["name"]: set(item["data"]) for item in secrets if item["kind"] == "Secret"}
    for member in (item for item in built_by(kubectl) if item["kind"] == "StatefulSet"):
        volumes = member["spec"]["template"]["spec"]["volumes"]
        secret = {volume["name"]: volume["secret"]["secretName"] for volume in volumes if "secret" in volume}
        assert {"dxlclient.config", "ca-bundle.crt", "client.crt", "client.key"} <= keys[secret["fabric"]]
        assert keys[secret["kafka"]] == {"kafka-password", "kafka-ca.crt"}


def test_the_pods_and_sets_that_the_text_names_are_there(kubectl: Path) -> None:
    names = {item["metadata"]["name"] for item in built_by(kubectl) if item["kind"] == "StatefulSet"}
    text = " ".join(commands("docs/deploy.md", "kubectl"))
    assert set(re.findall(r"statefulset/(\S+)", text)) == {"tie-forwarder-one"}
    assert set(re.findall(r"delete pod (\S+)-0", text)) == {"tie-forwarder-two"}
    assert names == {"tie-forwarder-one", "tie-forwarder-two"}


def test_they_are_in_the_namespace_that_the_overlay_makes(kubectl: Path, secrets: list[Object]) -> None:
    namespace = one(built_by(kubectl), "Namespace")["metadata"]["name"]
    made = one(secrets, "Namespace")
    assert made["metadata"]["name"] == namespace
    assert all(item["metadata"].get("namespace", namespace) == namespace for item in secrets)


def test_kubectl_makes_of_the_overlay_what_kustomize_makes(kubectl: Path) -> None:
    objects = built_by(kubectl)
    assert objects == objects_of(go("tool", "kustomize", "build", str(ROOT / "deploy/kubernetes/overlays/example")))
    for item in objects:
        if item["kind"] != "ServiceMonitor":
            validate(item)


def built_by(kubectl: Path) -> list[Object]:
    """What `kubectl kustomize` of the text prints."""
    (line,) = (line for line in commands("docs/deploy.md", "kubectl") if " kustomize " in line)
    done = subprocess.run([str(kubectl), *line.split()[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return objects_of(done.stdout)
