"""The commands of docs/deploy.md for a container, taken from the text: the image does with them what it should."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conftest import MakeKafka
from tests.harness.commands import ROOT, commands
from tests.harness.kafka.cluster import KafkaCluster
from tests.harness.kafka.properties import Security
from tests.harness.mosquitto import Mosquitto
from tests.harness.ports import free_port
from tests.harness.server_process import ServerProcess
from tests.harness.topics import Topics
from tests.harness.waiting import wait_until
from tests.image.container import ETC, SECRETS, STATE, Container, provision
from tests.image.docker_command import DockerRun, parse
from tests.image.image import NAME, Image
from tie_forwarder.demo.certificates import Authority

pytestmark = pytest.mark.image
USER, PASSWORD = "tie-forwarder", "right-password-7781"


@pytest.fixture(scope="module")
def check_and_run() -> tuple[DockerRun, DockerRun]:
    check, run = (parse(line) for line in commands("docs/deploy.md", "docker run"))
    return check, run


def test_both_commands_run_the_image_that_make_image_built_hardened_and_with_its_folders(
    check_and_run: tuple[DockerRun, DockerRun], image: Image
) -> None:
    check, run = check_and_run
    assert check.image == run.image == image.name == NAME
    assert check.hardened
    assert run.hardened
    assert set(run.volumes) == {ETC, SECRETS, STATE}
    assert check.read_only == run.read_only == {ETC, SECRETS}
    assert run.ports == ["127.0.0.1:9469:9469"]


def test_with_the_configuration_of_the_text_it_checks_out_and_runs(
    check_and_run: tuple[DockerRun, DockerRun],
    image: Image,
    mosquitto: Mosquitto,
    authority: Authority,
    make_kafka: MakeKafka,
    tmp_path: Path,
) -> None:
    security = Security(protocol="SASL_SSL", users={USER: PASSWORD}, authority=authority)
    kafka = make_kafka(security=security)
    topics = Topics.unique().create(kafka.administration)
    port = free_port()
    check, run = (
        _container(image, tmp_path / name, command, port)
        for name, command in zip(("check", "run"), check_and_run, strict=True)
    )
    for container in (check, run):
        _fill(container, mosquitto, kafka, authority, topics)
    done = check.run()
    assert done.returncode == 0, done.stdout + done.stderr
    run.prepare()
    forwarder = ServerProcess(name="docker", command=run.command, directory=tmp_path, ready=lambda: run.health() == 0)
    try:
        forwarder.start()
        wait_until(lambda: '"state": "ok"' in forwarder.log(), timeout=30.0, what=forwarder.log)
        assert forwarder.terminate() == 0
    finally:
        run.delete()


def _container(image: Image, directory: Path, command: DockerRun, port: int) -> Container:
    environment = {
        name: value.replace("0.0.0.0:9469", f"127.0.0.1:{port}") for name, value in command.environment.items()
    }
    return Container(image=image, directory=directory, arguments=command.arguments, environment=environment)


def _fill(container: Container, fabric: Mosquitto, kafka: KafkaCluster, authority: Authority, topics: Topics) -> None:
    """Put into the folders what the text says should be there, with the text's own configuration of Kafka."""
    etc, secrets = container.volumes[ETC], container.volumes[SECRETS]
    provision(etc, fabric)
    secrets.mkdir(parents=True)
    (secrets / "kafka-password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    (secrets / "kafka-ca.crt").write_bytes(authority.ca_file.read_bytes())
    config: dict[str, dict[str, object]] = {"dxl": {"config_file": "dxlclient.config"}, **_configuration()}
    config["kafka"] |= {"bootstrap_servers": kafka.bootstrap_servers, "topics": topics.configuration()}
    (etc / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def _configuration() -> dict[str, dict[str, object]]:
    """The YAML of the section about containers."""
    text = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    after = text[text.index("## Container") :]
    block = after[after.index("    kafka:\n") :].partition("\n\n")[0]
    content: dict[str, dict[str, object]] = yaml.safe_load(block)
    return content
