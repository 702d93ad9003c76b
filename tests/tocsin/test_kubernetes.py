"""What `deploy/kubernetes` starts fits together, and is what Kubernetes takes and Tocsin serves."""

from __future__ import annotations

import asyncio
import os
import re
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import yaml

from streams.changelog import changelog_topic
from streams.health import HealthServer
from streams.settings import HttpSettings
from streams.worker import STOP_SECONDS
from tests.contract.service import free_port
from tocsin.cli import app
from tocsin.config import Configuration, load_configuration

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "deploy" / "kubernetes"
KEDA = "keda.sh/v1alpha1"


def objects() -> dict[tuple[str, str], dict[str, Any]]:
    """All objects that `kubectl apply --kustomize` would create, by kind and name."""
    resources = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert sorted([*resources, "kustomization.yaml"]) == sorted(path.name for path in FOLDER.glob("*.yaml"))
    found = [document for name in resources for document in yaml.safe_load_all((FOLDER / name).read_text())]
    return {(document["kind"], document["metadata"]["name"]): document for document in found}


OBJECTS = objects()
WORKER = OBJECTS["StatefulSet", "tocsin-worker"]
TOPICS = OBJECTS["Job", "tocsin-topics"]
SCALING = OBJECTS["ScaledObject", "tocsin-worker"]
NOTIFY = OBJECTS["Deployment", "tocsin-notify"]
PODS = [WORKER["spec"]["template"], TOPICS["spec"]["template"], NOTIFY["spec"]["template"]]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    """The workers' configuration, with a stand-in for the files of the Secret."""
    text = OBJECTS["ConfigMap", "tocsin"]["data"]["tocsin.yaml"]
    (tmp_path / "password").write_text("secret")
    path = tmp_path / "tocsin.yaml"
    path.write_text(text.replace("/run/secrets/tocsin/password", str(tmp_path / "password")))
    return load_configuration(path, environment={})


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    return dict(only)


def mounts(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Volumes of a pod by where its container sees them."""
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    claims = {claim["metadata"]["name"]: claim for claim in WORKER["spec"]["volumeClaimTemplates"]}
    return {mount["mountPath"]: (volumes | claims)[mount["name"]] for mount in container(pod)["volumeMounts"]}


@pytest.mark.parametrize("name", [name for name, found in OBJECTS.items() if found["apiVersion"] != KEDA], ids="/".join)
def test_kubernetes_knows_every_field(name: tuple[str, str]) -> None:
    kubernetes_validate.validate(OBJECTS[name], kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("pod", PODS, ids=["worker", "topics", "notify"])
def test_a_pod_has_no_more_rights_than_it_needs(pod: dict[str, Any]) -> None:
    spec, dockerfile = pod["spec"], (REPOSITORY / "Dockerfile").read_text()
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"--uid {spec['securityContext']['runAsUser']} " in dockerfile
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsUser"]
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container(pod)["resources"]["limits"]


@pytest.mark.parametrize("pod", PODS, ids=["worker", "topics", "notify"])
def test_a_command_is_one_of_tocsin_and_its_file_is_there(pod: dict[str, Any]) -> None:
    command: Any = typer.main.get_command(app)
    arguments = list(container(pod)["args"])
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context("tocsin", list(arguments))
    folder, file = os.path.split(arguments[-1])
    assert file in OBJECTS["ConfigMap", mounts(pod)[folder]["configMap"]["name"]]["data"]
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert container(pod)["image"] == f"tocsin:{version}"


def test_the_configuration_is_valid_and_names_what_is_mounted(configuration: Configuration) -> None:
    text = OBJECTS["ConfigMap", "tocsin"]["data"]["tocsin.yaml"]
    for path in re.findall(r"_file: (\S+)", text):
        assert "secret" in mounts(PODS[0])[str(Path(path).parent)]
    assert "volumeClaimTemplates" in WORKER["spec"]
    assert mounts(PODS[0])[str(configuration.state.directory)]["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert (configuration.http.host, configuration.log.format) == ("0.0.0.0", "json")


async def test_probes_ask_what_a_worker_serves(configuration: Configuration) -> None:
    worker = container(PODS[0])
    ports = {port["name"]: port["containerPort"] for port in worker["ports"]}
    assert ports == {"http": configuration.http.port}
    assert PODS[0]["metadata"]["annotations"]["prometheus.io/port"] == str(configuration.http.port)
    port = free_port()
    async with HealthServer(
        HttpSettings(host="127.0.0.1", port=port), lambda: None, lambda: "recovering", lambda: None
    ):
        answers = {
            name: await asyncio.to_thread(status, f"http://127.0.0.1:{port}{worker[name]['httpGet']['path']}")
            for name in ("startupProbe", "livenessProbe", "readinessProbe")
        }
    assert answers == {"startupProbe": 200, "livenessProbe": 200, "readinessProbe": 503}
    assert {worker[name]["httpGet"]["port"] for name in answers} == {"http"}


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_worker_has_time_to_stop_and_its_state_outlives_it() -> None:
    assert PODS[0]["spec"]["terminationGracePeriodSeconds"] > STOP_SECONDS
    assert WORKER["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Retain"
    assert WORKER["spec"]["podManagementPolicy"] == "Parallel"


def test_what_selects_workers_selects_them() -> None:
    labels = PODS[0]["metadata"]["labels"]
    selectors = [
        WORKER["spec"]["selector"]["matchLabels"],
        OBJECTS["PodDisruptionBudget", "tocsin-worker"]["spec"]["selector"]["matchLabels"],
        OBJECTS["Service", "tocsin-worker"]["spec"]["selector"],
        OBJECTS["NetworkPolicy", "tocsin-worker"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
    assert PODS[1]["metadata"]["labels"] != labels
    assert WORKER["spec"]["serviceName"] == OBJECTS["Service", "tocsin-worker"]["metadata"]["name"]


def test_one_notifier_stands_by_and_is_selected() -> None:
    assert NOTIFY["spec"]["replicas"] == 2
    labels = NOTIFY["spec"]["template"]["metadata"]["labels"]
    assert NOTIFY["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["NetworkPolicy", "tocsin-notify"]["spec"]["podSelector"]["matchLabels"] == labels


def test_only_one_worker_is_disrupted_at_a_time() -> None:
    assert OBJECTS["PodDisruptionBudget", "tocsin-worker"]["spec"]["maxUnavailable"] == 1


def test_the_autoscaler_watches_the_group_of_the_workers(configuration: Configuration) -> None:
    kafka, spec = configuration.kafka, SCALING["spec"]
    assert spec["scaleTargetRef"] == {"kind": WORKER["kind"], "name": WORKER["metadata"]["name"]}
    assert spec["maxReplicaCount"] == configuration.topics.partitions
    assert "replicas" not in WORKER["spec"]
    topics = []
    for trigger in spec["triggers"]:
        metadata = trigger["metadata"]
        assert trigger["type"] == "kafka"
        assert metadata["bootstrapServers"] == kafka.bootstrap_servers
        assert metadata["consumerGroup"] == kafka.group_id
        assert metadata["sasl"].replace("_", "-").replace("sha", "sha-") == kafka.sasl_mechanism.lower()
        assert metadata["tls"] == ("enable" if kafka.security_protocol.endswith("SSL") else "disable")
        assert metadata["offsetResetPolicy"] == "earliest"
        assert all(isinstance(value, str) for value in metadata.values())
        assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in OBJECTS
        topics.append(metadata["topic"])
    assert topics == [kafka.topic(name) for name in ("telemetry", "transactions")]
    assert changelog_topic(kafka, "telemetry").startswith(kafka.group_id)


def test_every_secret_is_the_one_that_the_guide_makes() -> None:
    guide = (REPOSITORY / "docs" / "how-to" / "kubernetes.md").read_text()
    references = OBJECTS["TriggerAuthentication", "tocsin-kafka"]["spec"]["secretTargetRef"]
    names = {volume["secret"]["secretName"] for pod in PODS for volume in pod["spec"]["volumes"] if "secret" in volume}
    assert {reference["name"] for reference in references} == names == {"tocsin-kafka"}
    assert "kubectl --namespace tocsin create secret generic tocsin-kafka" in guide
    for reference in references:
        assert re.search(rf"--from-(literal|file)={re.escape(reference['key'])}=", guide)
    assert not any(kind == "Secret" for kind, _ in OBJECTS)
