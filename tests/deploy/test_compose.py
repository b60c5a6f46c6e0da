"""Compose and the Dockerfile speak of what is there: services, settings, ports, files, and versions that are named."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import compose_trial
from deploy.images import Store
from deploy.kafka_jars import VERSION
from services.base.settings import Settings
from services.runtime.registry import SERVICES
from tests.deploy.rendered import ENVIRONMENT, SECRET
from tests.deploy.tools import DEPLOY, ROOT, find, run

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
HEAVY = {"torch", "transformers", "onnxruntime", "tokenizers", "numpy"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_gets_settings_that_the_code_takes_and_no_secret_stands_in_the_file(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = COMPOSE["services"][name]
    assert one["environment"].keys() <= ENVIRONMENT
    for variable, value in one["environment"].items():
        assert variable not in SECRET or "${" in value, variable
        plain = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
        monkeypatch.setenv(variable, re.sub(r"\$\{[^}]*\}", "desk:0123456789abcdef0123", plain))
    settings = Settings(_env_file=None)
    assert settings.log == "kafka"
    host, _, port = settings.kafka_bootstrap.partition(":")
    assert host in COMPOSE["services"]
    assert f"//:{port}," in COMPOSE["services"][host]["environment"]["KAFKA_LISTENERS"]
    assert one["read_only"]
    assert one["cap_drop"] == ["ALL"]
    assert int(one["stop_grace_period"].removesuffix("s")) > settings.stop_seconds
    assert (one["build"]["dockerfile"], one["build"]["target"]) == ("deploy/Dockerfile", name)
    for published in one.get("ports", ()):
        assert published.startswith("127.0.0.1:")
        assert published.endswith(":8080")


def test_what_is_mounted_is_there_and_every_variable_is_explained() -> None:
    for one in COMPOSE["services"].values():
        for volume in one.get("volumes", ()):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    explained = set(re.findall(r"^(\w+)=", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE))
    assert asked == explained


def test_images_have_versions_and_kafka_is_the_one_that_was_tested() -> None:
    for name, one in COMPOSE["services"].items():
        assert name in SERVICES or re.search(r":v?\d+[.\d]*", one["image"]), one["image"]
    assert COMPOSE["services"]["kafka"]["image"].endswith(f":{VERSION}")


def test_prometheus_and_grafana_look_where_things_are() -> None:
    services = COMPOSE["services"]
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    targets = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert targets == [f"{name}:8080" for name in SERVICES]
    told = scraped["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert [target.split(":")[0] for target in told] == ["alertmanager"]
    mounted = dict(v.split(":")[:2] for one in ("prometheus", "grafana") for v in services[one]["volumes"])
    for file in scraped["rule_files"]:
        assert str(Path(file).parent) == mounted["./prometheus"]
        assert (DEPLOY / "prometheus" / Path(file).name).is_file()
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "firebreak.yaml").read_text())["providers"]
    assert provider["options"]["path"] == mounted["./grafana/dashboards"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / "grafana" / "dashboards" / Path(home).name).is_file()


def test_there_is_a_target_a_service_without_what_it_does_not_need() -> None:
    final = set(re.findall(r"^FROM runtime AS (\w+)", DOCKERFILE, re.MULTILINE))
    assert final == set(SERVICES)
    for service in SERVICES:
        assert f'CMD ["run", "{service}"]' in DOCKERFILE
        stage = DOCKERFILE.split(f"AS {service}-built")[1].split("\nFROM")[0]
        assert f"--requirement requirements/{service}.txt" in stage
        for other in set(SERVICES) - {service}:
            assert f"site-packages/{other}" in stage, f"{other}'s code stays in the image of {service}"
    for service in ("ingest", "alerter"):
        names = {re.split(r"[\[<>=;~! ]", wanted)[0] for wanted in EXTRAS[service]}
        assert not names & HEAVY
        assert "firebreak" not in names


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    runtime = DOCKERFILE.split("AS runtime")[1]
    assert re.search(r"^USER 10001:10001$", runtime, re.MULTILINE)
    assert set(re.findall(r"\b(FIREBREAK_\w+)=", runtime)) <= ENVIRONMENT
    assert "/healthz" in runtime
    check = re.search(r"^    CMD (\[.*\])$", runtime, re.MULTILINE)
    assert check is not None
    compile(json.loads(check[1])[2], "healthcheck", "exec")


@pytest.mark.parametrize("file", ["Dockerfile", "standins/Dockerfile"])
def test_hadolint_finds_nothing(file: str) -> None:
    run(find("hadolint"), DEPLOY / file)


def test_the_trial_starts_what_the_file_says_and_knocks_at_its_doors(tmp_path: Path) -> None:
    services = COMPOSE["services"]
    assert {*compose_trial.OTHERS, *SERVICES} <= services.keys()
    stages = re.findall(r" AS (\w+)$", (compose_trial.STANDINS / "Dockerfile").read_text(), re.MULTILINE)
    assert tuple(stages) == compose_trial.OTHERS
    published = {
        name: f"http://{port.rpartition(':')[0]}" for name in SERVICES for port in services[name].get("ports", ())
    }
    assert published == compose_trial.DOORS
    trial = compose_trial.Compose(Store(tmp_path), tmp_path, "podman-compose")
    trial.write_environment()
    written = (tmp_path / "env").read_text()
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert set(re.findall(r"^(\w+)=.", written, re.MULTILINE)) == asked
    assert (tmp_path / "env").stat().st_mode & 0o077 == 0, "there are secrets in it"
    for service in compose_trial.OTHERS:
        assert services[service]["healthcheck"], "the others wait for it"


def test_the_data_folder_of_the_images_belongs_to_whom_they_run_as() -> None:
    """A new named volume takes the owner over from the image, if nothing declares the folder before it has one."""
    stage = DOCKERFILE[DOCKERFILE.index(" AS runtime") :]
    user = re.search(r"^USER (\d+):\1$", stage, re.MULTILINE)
    data = re.search(r"FIREBREAK_DATA=(\S+)", stage)
    made = re.search(r"install --directory --owner=(\w+) --group=\1 --mode=0700 (\S+)", stage)
    assert user
    assert data
    assert made
    assert made[2] == data[1]
    assert f"useradd --system --uid {user[1]} --user-group" in stage
    assert stage.index(made[0]) < stage.index(user[0]), "made by root, then left to them"
    assert "VOLUME" not in DOCKERFILE.split(), "every run without a mount would leave a volume behind"
