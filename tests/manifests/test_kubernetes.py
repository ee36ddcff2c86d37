"""deploy/kubernetes fits Kubernetes' schemas, its restricted pod security, and the daemon that it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry

from tests.manifests.cluster_objects import Object, objects_in, one, validate
from tie_forwarder.config import Config, load
from tie_forwarder.http.application import Application, Board

KUBERNETES = Path(__file__).parent.parent.parent / "deploy/kubernetes"
BASE = KUBERNETES / "base"
MEMBER = KUBERNETES / "member"
# After the drain: what the publisher gets to close, and the patience with a loop that hangs (supervisor/supervisor.py).
_MARGIN_SECONDS = 35


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    return objects_in(BASE) + objects_in(MEMBER)


@pytest.fixture(scope="module")
def stateful_set(objects: list[Object]) -> Object:
    return one(objects, "StatefulSet")


@pytest.fixture(scope="module")
def pod(stateful_set: Object) -> dict[str, Any]:
    spec: dict[str, Any] = stateful_set["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


@pytest.fixture
def config(container: dict[str, Any]) -> Config:
    """What a member makes of the ConfigMap and of its environment."""
    labels = {"metadata.labels['app.kubernetes.io/instance']": "tie-forwarder-two"}
    environment = {"CREDENTIALS_DIRECTORY": "/run/secrets"}
    for variable in container["env"]:
        value = variable.get("value") or labels[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        environment[variable["name"]] = value
    return load(BASE / "config.yaml", environ=environment)


def test_every_object_fits_the_strict_schemas_of_the_oldest_and_the_newest_kubernetes(objects: list[Object]) -> None:
    assert len(objects) == 6
    for item in objects:
        validate(item)


def test_a_misspelt_field_is_found(stateful_set: Object) -> None:
    wrong = {**stateful_set, "spec": {**stateful_set["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(wrong)


def test_the_overlays_patches_name_what_the_base_has(objects: list[Object]) -> None:
    known = {(item["kind"], item["metadata"]["name"]) for item in objects}
    patches = objects_in(KUBERNETES / "overlays/example")
    assert {(item["kind"], item["metadata"]["name"]) for item in patches} <= known


def test_kustomize_is_given_every_file_of_the_base() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))
    (generated,) = listed["configMapGenerator"]
    expected = {file.name for file in BASE.iterdir()} - {"kustomization.yaml"}
    expected |= {f"../members/{member.name}" for member in (KUBERNETES / "members").iterdir()}
    assert {*listed["resources"], *generated["files"]} == expected


def test_the_pod_passes_the_restricted_profile(pod: dict[str, Any], container: dict[str, Any]) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/
    security, own = pod["securityContext"], container["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == 10001
    assert security["seccompProfile"]["type"] == "RuntimeDefault"
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own["readOnlyRootFilesystem"] is True
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert {next(iter(set(volume) - {"name"})) for volume in pod["volumes"]} <= {"configMap", "secret"}
    assert all("hostPort" not in port for port in container["ports"])


def test_the_namespace_enforces_that_profile(objects: list[Object]) -> None:
    labels = one(objects, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_program_takes_the_configuration_and_the_variables(config: Config) -> None:
    assert config.group.member == "tie-forwarder-two"
    assert config.dxl.config_file == Path("/etc/dxl/dxlclient.config")


def test_no_variable_of_a_service_can_be_taken_for_an_option(pod: dict[str, Any]) -> None:
    assert pod["enableServiceLinks"] is False


def test_the_secret_with_what_provisionconfig_wrote_is_where_the_daemon_looks(
    config: Config, container: dict[str, Any]
) -> None:
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert config.dxl.config_file.parent == Path(mounts["fabric"]["mountPath"])


def test_the_secrets_of_kafka_are_looked_for_where_they_are_mounted(
    config: Config, container: dict[str, Any], tmp_path: Path
) -> None:
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "kafka")
    assert mount["mountPath"] == "/run/secrets"
    for name in ("kafka-ca.crt", "kafka-password"):
        (tmp_path / name).write_text("there", encoding="utf-8")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    security = load(BASE / "config.yaml", environ=environment).kafka.security
    assert security.ca_file == tmp_path / "kafka-ca.crt"
    assert security.sasl.password_file == tmp_path / "kafka-password"


def test_the_probes_ask_paths_that_the_daemon_serves_on_the_port_that_it_opens(
    config: Config, container: dict[str, Any]
) -> None:
    (port,) = container["ports"]
    assert config.http.address is not None
    assert (config.http.address.host, config.http.address.port) == ("0.0.0.0", port["containerPort"])
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["port"] for probe in probes} == {port["name"]}
    assert [probe["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
    assert all(_is_served(probe["path"]) for probe in probes)
    assert not _is_served("/livez")


def test_the_grace_period_is_longer_than_the_drain_and_the_end_of_the_children(
    config: Config, pod: dict[str, Any]
) -> None:
    assert pod["terminationGracePeriodSeconds"] >= config.shutdown.drain_seconds + _MARGIN_SECONDS


def test_the_spool_fits_into_its_volume(config: Config, stateful_set: Object, container: dict[str, Any]) -> None:
    (claim,) = stateful_set["spec"]["volumeClaimTemplates"]
    size = claim["spec"]["resources"]["requests"]["storage"]
    assert size.endswith("Gi")
    assert config.spool.max_bytes <= int(size.removesuffix("Gi")) * 2**30 * 0.9
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == claim["metadata"]["name"])
    assert mount["mountPath"] == "/var/lib/tie-forwarder"


def test_every_selector_finds_the_pods(objects: list[Object], stateful_set: Object) -> None:
    labels = stateful_set["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        stateful_set["spec"]["selector"]["matchLabels"],
        one(objects, "Service")["spec"]["selector"],
        one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)
    terms = stateful_set["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    for term in terms["preferredDuringSchedulingIgnoredDuringExecution"]:
        assert term["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= labels


def test_one_member_at_a_time_may_be_taken_away(objects: list[Object]) -> None:
    assert one(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_what_the_configuration_connects_to_the_network_policy_lets_out(config: Config, objects: list[Object]) -> None:
    policy = one(objects, "NetworkPolicy")["spec"]
    out = {(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    servers = {int(server.rpartition(":")[2]) for server in config.kafka.bootstrap_servers}
    assert {("UDP", 53), ("TCP", 8883)} <= out
    assert {("TCP", port) for port in servers} <= out


def _is_served(path: str) -> bool:
    statuses: list[str] = []
    application = Application(board=Board(), registry=CollectorRegistry())
    application({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda status, headers: statuses.append(status))
    return not statuses[0].startswith("404")
