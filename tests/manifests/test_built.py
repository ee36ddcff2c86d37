"""What the programs make of the files that will really read them: kustomize, Compose, the Prometheus operator.

They are built from Go modules, whose versions and checksums are in tests/manifests/tools; some seconds after the first
time. `make manifests-test` runs this.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.manifests.cluster_objects import Object, objects_of, one, validate

pytestmark = [pytest.mark.manifests, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent.parent
TOOLS = Path(__file__).parent / "tools"
_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
_OPERATOR_SUM = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
_OLDEST_GO = (1, 24)


def go(*arguments: str) -> str:
    """What a command of Go prints."""
    done = subprocess.run(["go", *arguments], cwd=TOOLS, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"go {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def _go_is_there() -> None:
    found = shutil.which("go") and re.search(r"go(\d+)\.(\d+)", go("version"))
    if not found or (int(found[1]), int(found[2])) < _OLDEST_GO:
        pytest.fail("Go 1.24 or newer is missing; install it and put `go` on the PATH")


@pytest.fixture(params=["base", "overlays/example"])
def built(request: pytest.FixtureRequest) -> list[Object]:
    """What kustomize makes."""
    return objects_of(go("tool", "kustomize", "build", str(ROOT / "deploy/kubernetes" / request.param)))


def test_kustomize_builds_objects_that_fit_kubernetes_schemas(built: list[Object]) -> None:
    for item in built:
        if item["kind"] != "ServiceMonitor":
            validate(item)
    assert {item["metadata"].get("namespace", "tie-forwarder") for item in built} == {"tie-forwarder"}


def test_what_the_pods_name_is_there_or_is_a_secret_that_the_administrator_makes(built: list[Object]) -> None:
    names = {(item["kind"], item["metadata"]["name"]) for item in built}
    for member in members(built):
        pod = member["spec"]["template"]["spec"]
        (config_map,) = (volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume)
        assert ("ConfigMap", config_map) in names
        assert re.fullmatch(r"tie-forwarder-[a-z0-9]{10}", config_map), "a changed configuration restarts no pod"
        assert ("ServiceAccount", pod["serviceAccountName"]) in names
        assert ("Service", member["spec"]["serviceName"]) in names


def test_each_pod_sees_its_own_key_and_no_other(built: list[Object]) -> None:
    seen = []
    for member in members(built):
        spec, name = member["spec"], member["metadata"]["name"]
        assert spec["replicas"] == 1, "pods of one StatefulSet see the same Secrets"
        pod = spec["template"]["spec"]
        assert not [volume for volume in pod["volumes"] if {"projected", "csi", "hostPath"} & volume.keys()]
        secrets = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        assert secrets.pop("kafka") == "tie-forwarder-kafka"
        assert secrets == {"fabric": name}
        assert spec["template"]["metadata"]["labels"]["app.kubernetes.io/instance"] == name
        mounts = [mount for container in pod["containers"] for mount in container["volumeMounts"]]
        assert not [mount for mount in mounts if "subPath" in mount or "subPathExpr" in mount], "never renewed"
        seen.append(name)
    assert len(set(seen)) == 2


def test_a_set_selects_its_own_pod_and_repels_the_others(built: list[Object]) -> None:
    labels = {
        member["metadata"]["name"]: member["spec"]["template"]["metadata"]["labels"].items()
        for member in members(built)
    }
    for member in members(built):
        own = member["spec"]["selector"]["matchLabels"].items()
        assert [name for name, of_pod in labels.items() if own <= of_pod] == [member["metadata"]["name"]]
        affinity = member["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
        for term in affinity["preferredDuringSchedulingIgnoredDuringExecution"]:
            repelled = term["podAffinityTerm"]["labelSelector"]["matchLabels"].items()
            assert all(repelled <= of_pod for of_pod in labels.values())


def test_an_update_restarts_one_member_by_itself(built: list[Object]) -> None:
    strategies = sorted(member["spec"]["updateStrategy"]["type"] for member in members(built))
    assert strategies == ["OnDelete", "RollingUpdate"]


def members(objects: list[Object]) -> list[Object]:
    """The StatefulSets: one for each member."""
    return [item for item in objects if item["kind"] == "StatefulSet"]


def test_the_service_monitor_fits_the_operators_own_definition_and_finds_the_service() -> None:
    objects = objects_of(go("tool", "kustomize", "build", str(ROOT / "deploy/kubernetes/overlays/example")))
    monitor, service = one(objects, "ServiceMonitor"), one(objects, "Service")
    validator = jsonschema.Draft4Validator(_schema_of_service_monitor())
    validator.validate(monitor)
    assert not validator.is_valid({**monitor, "spec": {**monitor["spec"], "endpoint": []}})
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"


def _schema_of_service_monitor() -> dict[str, Any]:
    module = json.loads(go("mod", "download", "-json", _OPERATOR))
    assert module["Sum"] == _OPERATOR_SUM
    definition = Path(module["Dir"]) / "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
    versions = yaml.safe_load(definition.read_text(encoding="utf-8"))["spec"]["versions"]
    (schema,) = (version["schema"]["openAPIV3Schema"] for version in versions if version["name"] == "v1")
    strict: dict[str, Any] = _strict(schema)
    return strict


def _strict(schema: Any) -> Any:
    """The same, but an unknown field is a fault, where Kubernetes would drop it."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _strict(item) for name, item in schema.items()}
    if inner.get("properties") and "additionalProperties" not in inner and inner["type"] == "object":
        inner["additionalProperties"] = False
    if set(inner.get("properties", ())) == {"apiVersion", "kind", "metadata", "spec", "status"}:
        inner["properties"]["metadata"] = {"type": "object"}
    return inner


def test_compose_reads_the_file_and_knows_every_service() -> None:
    project = json.loads(go("run", "./composefile", str(ROOT / "deploy/compose/compose.yaml")))
    assert {"forwarder-one", "forwarder-two", "kafka", "fabric", "prometheus", "grafana"} <= set(project["services"])
    for config in project["configs"].values():
        assert Path(config["file"]).is_file()


def test_compose_refuses_a_misspelt_field(tmp_path: Path) -> None:
    text = (ROOT / "deploy/compose/compose.yaml").read_text(encoding="utf-8")
    file = tmp_path / "compose.yaml"
    file.write_text(text.replace("stop_grace_period", "stop_grace_periods"), encoding="utf-8")
    with pytest.raises(AssertionError, match="stop_grace_periods"):
        go("run", "./composefile", str(file))
