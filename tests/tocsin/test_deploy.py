"""What `docker-compose.yml` starts fits together: commands, ports, files, versions, and what points to what."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from tests.debian import program
from tocsin.broker.distribution import KAFKA_VERSION, jars, java
from tocsin.cli import app
from tocsin.config import Configuration, load_configuration

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
TOCSIN_SERVICES = ("topics", "worker", "notify", "demo")
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+([-.]\w+)*")


def resolved(**environment: str) -> dict[str, Any]:
    """The compose file as `docker-compose` understands it."""
    ports = ("KAFKA_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")
    inherited = {name: value for name, value in os.environ.items() if name not in ports}
    shown = subprocess.run(
        [program("docker-compose"), "-f", "docker-compose.yml", "config"],
        cwd=REPOSITORY,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    found: dict[str, Any] = yaml.safe_load(shown.stdout)
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return resolved()


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


@pytest.fixture(scope="module")
def worker_settings() -> Configuration:
    return load_configuration(DEPLOY / "tocsin.yaml", environment={})


def container_ports(service: dict[str, Any]) -> set[int]:
    published = {int(str(port).split("/")[0].rsplit(":", 1)[-1]) for port in service.get("ports", ())}
    return published | {int(port) for port in service.get("expose", ())}


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a service sees (a path of this machine or a volume) and where it sees it."""
    for volume in service.get("volumes", ()):
        source, target, *_ = volume.split(":")
        yield source, target


def seen_in(service: dict[str, Any], path: str) -> Path:
    """The file of this repository that a service sees at a path."""
    for source, target in mounts(service):
        if source.startswith("/") and (path == target or path.startswith(target + "/")):
            return Path(source + path.removeprefix(target))
    raise AssertionError(f"nothing is mounted at {path}")


def assert_reachable(services: dict[str, Any], address: str, own: str) -> None:
    host, port = address.rsplit(":", 1)
    service = own if host == "localhost" else host
    assert service in services, f"{address}: there is no service {service}"
    assert int(port) in container_ports(services[service]), f"{address}: {service} does not listen there"


def test_the_services_are_those_the_readme_promises(services: dict[str, Any]) -> None:
    assert set(services) == {"kafka", "topics", "worker", "notify", "demo", "prometheus", "alertmanager", "grafana"}
    assert [name for name, service in services.items() if service.get("profiles")] == ["demo"]


def test_every_image_is_pinned_to_a_version(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert PINNED.fullmatch(service["image"]), f"{name}: {service['image']}"
    assert re.search(r"^ARG PYTHON=3\.\d+\.\d+-slim-\w+$", (REPOSITORY / "Dockerfile").read_text(), re.M)


def test_the_image_of_tocsin_has_the_version_of_the_project(services: dict[str, Any]) -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert {services[name]["image"] for name in TOCSIN_SERVICES} == {f"tocsin:{version}"}


def test_kafka_has_the_version_that_the_embedded_broker_has(services: dict[str, Any]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


@pytest.mark.parametrize("name", TOCSIN_SERVICES)
def test_a_command_of_the_compose_file_is_one_of_tocsin(services: dict[str, Any], name: str) -> None:
    command: Any = typer.main.get_command(app)
    arguments = [str(argument) for argument in services[name]["command"]]
    while hasattr(command, "commands"):
        assert arguments[0] in command.commands, f"there is no `tocsin {' '.join(arguments)}`"
        command = command.commands[arguments.pop(0)]
    command.make_context("tocsin", arguments)


@pytest.mark.parametrize("name", TOCSIN_SERVICES)
def test_a_command_names_files_and_brokers_that_its_container_sees(services: dict[str, Any], name: str) -> None:
    for argument in services[name]["command"]:
        if str(argument).startswith("/"):
            assert seen_in(services[name], argument).is_file()
        elif re.fullmatch(r"\w+:\d+", str(argument)):
            assert argument == "kafka:9092"


def test_every_mounted_path_exists_and_is_mounted_read_only(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for volume in service.get("volumes", ()):
            source, _, mode = volume.split(":")
            if source.startswith("/"):
                assert Path(source).exists(), f"{name}: {source} does not exist"
                assert mode == "ro", f"{name}: {volume}"


def test_nothing_listens_beyond_this_machine(services: dict[str, Any]) -> None:
    for service in services.values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_no_service_has_capabilities_or_can_gain_privileges(services: dict[str, Any]) -> None:
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(services[name]["read_only"] for name in (*TOCSIN_SERVICES, "prometheus", "alertmanager"))


def test_every_lasting_service_is_watched_and_restarted(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name in ("topics", "demo"):
            # They serve no /healthz: the image's check would never pass.
            assert service["healthcheck"]["test"] == ["NONE"]
            continue
        assert service["restart"] == "unless-stopped"
        assert name in ("worker", "notify") or service["healthcheck"]["test"][0] == "CMD"
    assert "/healthz" in (REPOSITORY / "Dockerfile").read_text().split("HEALTHCHECK")[1]


def test_health_checks_ask_the_ports_that_are_served(services: dict[str, Any]) -> None:
    for name in ("prometheus", "alertmanager", "grafana"):
        (port,) = re.findall(r"127\.0\.0\.1:(\d+)/", services[name]["healthcheck"]["test"][-1])
        assert int(port) in container_ports(services[name])
    assert (
        services["kafka"]["healthcheck"]["test"][-1] in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    )


def test_ports_can_be_chosen() -> None:
    chosen = resolved(KAFKA_PORT="1001", PROMETHEUS_PORT="1002", ALERTMANAGER_PORT="1003", GRAFANA_PORT="1004")
    published = {
        str(port).split(":")[1] for service in chosen["services"].values() for port in service.get("ports", ())
    }
    assert published == {"1001", "1002", "1003", "1004"}
    assert "EXTERNAL://localhost:1001" in chosen["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_the_workers_configuration_fits_its_container(services: dict[str, Any], worker_settings: Configuration) -> None:
    assert worker_settings.kafka.bootstrap_servers == "kafka:9092"
    assert worker_settings.http.port in container_ports(services["worker"])
    volumes = {target: source for source, target in mounts(services["worker"])}
    directory = str(worker_settings.state.directory)
    assert volumes[directory] == "worker-state"
    assert f"--owner tocsin --group tocsin {directory}" in (REPOSITORY / "Dockerfile").read_text()


def test_prometheus_finds_all_that_it_scrapes(services: dict[str, Any], worker_settings: Configuration) -> None:
    config = yaml.safe_load(seen_in(services["prometheus"], "/etc/prometheus/prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == {"tocsin", "tocsin-notify", "alertmanager", "prometheus"}
    (workers,) = jobs["tocsin"]["dns_sd_configs"]
    assert workers["names"] == ["worker"]
    assert workers["port"] == worker_settings.http.port
    (notifiers,) = jobs["tocsin-notify"]["dns_sd_configs"]
    assert (notifiers["names"], notifiers["port"]) == (["notify"], worker_settings.http.port)
    targets = [
        target
        for group in [*config["alerting"]["alertmanagers"], *jobs.values()]
        for static in group.get("static_configs", ())
        for target in static["targets"]
    ]
    assert targets.count("alertmanager:9093") == 2
    for target in targets:
        assert_reachable(services, target, own="prometheus")
    for rules in config["rule_files"]:
        assert seen_in(services["prometheus"], f"/etc/prometheus/{rules}").is_file()


def test_the_notifier_tells_the_alertmanager_that_is_there(
    services: dict[str, Any], worker_settings: Configuration
) -> None:
    assert worker_settings.http.port in container_ports(services["notify"])
    (receiver,) = worker_settings.notify.receivers
    (sink,) = receiver.alertmanager
    assert_reachable(services, sink.url.removeprefix("http://"), own="notify")


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_a_server_reads_its_configuration_and_writes_to_a_volume(services: dict[str, Any], name: str) -> None:
    options = dict(option.lstrip("-").split("=", 1) for option in services[name]["command"])
    assert seen_in(services[name], options["config.file"]) == DEPLOY / name / f"{name}.yml"
    path = options.get("storage.tsdb.path") or options["storage.path"]
    assert (f"{name}-data", path) in list(mounts(services[name]))


def test_grafana_finds_its_data_sources_and_dashboards(services: dict[str, Any]) -> None:
    grafana = services["grafana"]
    provisioning = seen_in(grafana, "/etc/grafana/provisioning")
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    for source in sources:
        assert_reachable(services, source["url"].removeprefix("http://"), own="grafana")
    prometheus = next(source for source in sources if source["type"] == "prometheus")
    scraping = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["global"]
    assert prometheus["jsonData"]["timeInterval"] == scraping["scrape_interval"]
    assert prometheus["jsonData"]["alertmanagerUid"] in {source["uid"] for source in sources}
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "tocsin.yml").read_text())["providers"]
    assert seen_in(grafana, provider["options"]["path"]) == DEPLOY / "grafana" / "dashboards"
    home = seen_in(grafana, grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert json.loads(home.read_text())["uid"] == "tocsin-service"


def test_the_image_is_built_from_the_lock_without_root() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    assert "--require-hashes" in dockerfile
    final = dockerfile.rsplit("FROM ", 1)[1]
    assert re.search(r"^USER (?!root|0)\w+$", final, re.M)
    assert final.index("USER tocsin") < final.index("ENTRYPOINT")
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert re.findall(r'^ENTRYPOINT \["(\w+)"\]$', final, re.M) == list(scripts)


def test_the_image_gets_every_file_that_it_is_built_from() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    sources = {
        source.strip("/")
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.M)
        for source in line.split()[:-1]
    }
    allowed = {
        line.removeprefix("!")
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert sources == allowed
    assert {source for source in sources if not (REPOSITORY / source).exists()} == set()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {project["project"]["readme"], *project["project"]["license-files"]} <= sources


class Kafka:
    """Apache Kafka, set up from environment variables as its own image does it."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._java = [str(java()), "-XX:TieredStopAtLevel=1", "-cp", os.pathsep.join(map(str, jars()))]
        self.log = folder / "log"
        self._process = self._run("kafka.docker.KafkaDockerWrapper", "setup", *_folders(folder), env=environment)
        assert self._process.wait(timeout=60) == 0, self.log.read_text()
        self._process = self._run("kafka.Kafka", str(folder / "final" / "server.properties"))

    def _run(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen([*self._java, *arguments], env=env, stdout=log, stderr=log)

    def wait_until_it_listens(self, port: int) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def _folders(folder: Path) -> list[str]:
    """Lay out the folders that the image's set-up reads and writes, and name them as its options."""
    for name in ("default", "mounted", "final"):
        (folder / name).mkdir()
    for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
        (folder / "default" / name).write_text("")
    return [f"--{name}-configs-dir={folder / name}" for name in ("default", "mounted", "final")]


@pytest.fixture
def loopback() -> dict[str, int]:
    """A free loopback port for each that the broker listens on or advertises."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    internal, controller, external = (probe.getsockname()[1] for probe in probes)
    for probe in probes:
        probe.close()
    return {"9092": internal, "9093": controller, "19092": external, "29092": external}


def test_the_brokers_settings_start_a_kafka_on_which_topics_can_be_created(
    services: dict[str, Any], tmp_path: Path, loopback: dict[str, int]
) -> None:
    settings = {name: str(value) for name, value in services["kafka"]["environment"].items()}
    for name in ("KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS", "KAFKA_CONTROLLER_QUORUM_VOTERS"):
        settings[name] = re.sub(
            r"(kafka|localhost)?:(\d+)", lambda match: f"127.0.0.1:{loopback[match[2]]}", settings[name]
        )
    command = services["topics"]["command"]
    config = seen_in(services["topics"], command[-1])
    kafka = Kafka(settings | {"KAFKA_LOG_DIRS": str(tmp_path / "data")}, tmp_path)
    try:
        kafka.wait_until_it_listens(loopback["9092"])
        created = subprocess.run(
            [sys.executable, "-m", "tocsin", *command[:-1], str(config), "--json"],
            env=os.environ | {"KAFKA_BOOTSTRAP": f"127.0.0.1:{loopback['9092']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        kafka.stop()
    assert created.returncode == 0, created.stderr
    assert json.loads(created.stdout)["alerts"] is True
