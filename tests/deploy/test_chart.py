"""The chart renders what the code really has: ports, environment names, topics, groups; and secrets by reference alone."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml

from scorer.service import GROUP as SCORER_GROUP
from services.base.settings import Settings
from services.config.loading import parse
from services.contracts.topics import POSTS
from services.runtime.http import DRAIN_SECONDS
from services.runtime.registry import SERVICES
from tests.deploy.measured import boards
from tests.deploy.rendered import (
    CHART,
    CONFIG,
    ENVIRONMENT,
    EVERYTHING,
    KUBERNETES,
    NEEDED,
    OTHERWISE,
    SECRET,
    chart,
    container,
    environment,
    kinds,
    workloads,
)  # fmt: skip
from tests.deploy.tools import DEPLOY, find, run

PROBES = {"livenessProbe": "/healthz", "readinessProbe": "/readyz", "startupProbe": "/healthz"}


@pytest.mark.parametrize("values", [EVERYTHING, OTHERWISE], ids=["everything", "otherwise"])
def test_helm_finds_nothing_to_complain_about(values: tuple[str, ...]) -> None:
    said = run(find("helm"), "lint", "--strict", CHART, *NEEDED, *CONFIG, *values)
    assert "0 chart(s) failed" in said


@pytest.mark.parametrize("values", [(), EVERYTHING, OTHERWISE], ids=["plain", "everything", "otherwise"])
def test_each_service_runs_with_settings_that_the_code_takes(
    values: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = workloads(*values)
    assert set(found) == set(SERVICES)
    for service, workload in found.items():
        one = container(workload)
        assert one["args"] == ["run", service]
        assert one["image"].endswith(f"firebreak-{service}:0.1.0")
        set_to = environment(one)
        assert set_to.keys() <= ENVIRONMENT
        with monkeypatch.context() as patched:
            for name, value in set_to.items():
                patched.setenv(name, value)
            settings = Settings(_env_file=None)
        assert settings.log == "kafka"
        assert [port["containerPort"] for port in one["ports"]] == [settings.port]
        assert (
            workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            > settings.stop_seconds + DRAIN_SECONDS
        )
        (service_,) = [s for s in kinds("Service", *values) if s["metadata"]["name"].endswith(f"-{service}")]
        assert service_["spec"]["ports"][0]["targetPort"] == one["ports"][0]["name"]
        for probe, path in PROBES.items():
            assert one[probe]["httpGet"] == {"path": path, "port": "http"}


@pytest.mark.parametrize("values", [(), EVERYTHING, OTHERWISE], ids=["plain", "everything", "otherwise"])
def test_secrets_are_referred_to_and_given_to_whoever_needs_them_alone(values: tuple[str, ...]) -> None:
    assert not kinds("Secret", *values)
    has = {
        service: {e["name"] for e in container(one)["env"] if "secretKeyRef" in e.get("valueFrom", {})}
        for service, one in workloads(*values).items()
    }
    sasl = {"FIREBREAK_KAFKA_SASL_PASSWORD"} if values == EVERYTHING else set()
    assert has == {
        "ingest": {"FIREBREAK_API_KEYS"} | sasl,
        "scorer": sasl,
        "alerter": {"FIREBREAK_ADMIN_KEY", "FIREBREAK_DATABASE", "FIREBREAK_SECRET_KEYS"} | sasl,
    }
    for one in workloads(*values).values():
        for entry in container(one)["env"]:
            assert not (entry["name"] in SECRET and "value" in entry), entry


def test_pods_are_not_root_and_cannot_write_but_to_scratch() -> None:
    for one in workloads().values():
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        inside = container(one)
        assert inside["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        writable = {v["name"] for v in pod["volumes"] if "emptyDir" in v}
        mounts = {m["mountPath"] for m in inside["volumeMounts"] if m["name"] in writable}
        assert mounts == {"/tmp", "/var/lib/firebreak"}  # noqa: S108 - in the pod
        assert inside["resources"]["requests"]
        assert inside["resources"]["limits"]["memory"]


def test_one_of_each_may_be_taken_away_at_a_time_and_budgets_and_services_mean_those_pods() -> None:
    found = workloads()
    for kind in ("PodDisruptionBudget", "Service"):
        assert len(kinds(kind)) == len(found)
        for one in kinds(kind):
            chosen = one["spec"]["selector"]
            wanted = chosen.get("matchLabels", chosen)
            service = wanted["app.kubernetes.io/component"]
            labels = found[service]["spec"]["template"]["metadata"]["labels"]
            assert wanted.items() <= labels.items()
    assert {one["spec"]["maxUnavailable"] for one in kinds("PodDisruptionBudget")} == {1}


def test_whoever_owns_partitions_has_a_name_that_survives_a_restart() -> None:
    for service, one in workloads().items():
        named = [e for e in container(one)["env"] if e["name"] == "FIREBREAK_INSTANCE"]
        assert bool(named) == (one["kind"] == "StatefulSet") == (service in {"scorer", "alerter"})
        for entry in named:
            assert entry["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_the_scorer_scales_by_the_lag_of_its_own_group() -> None:
    (scaled,) = kinds("ScaledObject", *EVERYTHING)
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == f"eu.{SCORER_GROUP}"
    assert trigger["metadata"]["topic"] == f"eu.{POSTS.name}"
    assert trigger["metadata"]["tls"] == "enable"
    target = workloads(*EVERYTHING)["scorer"]
    assert scaled["spec"]["scaleTargetRef"] == {"kind": target["kind"], "name": target["metadata"]["name"]}
    assert "replicas" not in target["spec"]  # or every upgrade would set it back
    partitions = int(environment(container(target))["FIREBREAK_PARTITIONS"])
    assert scaled["spec"]["maxReplicaCount"] <= partitions


def test_the_configuration_arrives_where_the_image_looks_for_it() -> None:
    (config,) = kinds("ConfigMap")
    assert parse(config["data"]["firebreak.yaml"]).brands
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    for one in workloads().values():
        (mount,) = [m for m in container(one)["volumeMounts"] if m["name"] == "config"]
        assert f"FIREBREAK_CONFIG={mount['mountPath']}/firebreak.yaml" in dockerfile
        volumes = {v["name"]: v for v in one["spec"]["template"]["spec"]["volumes"]}
        assert volumes["config"]["configMap"]["name"] == config["metadata"]["name"]


def test_rules_and_dashboards_are_those_that_were_tested() -> None:
    (rules,) = kinds("PrometheusRule", *EVERYTHING)
    files = [yaml.safe_load((DEPLOY / "prometheus" / name).read_text()) for name in ("recording.yml", "alerts.yml")]
    assert rules["spec"]["groups"] == [group for file in files for group in file["groups"]]
    carried = [one for one in kinds("ConfigMap", *EVERYTHING) if one["metadata"]["name"].endswith("-dashboard")]
    assert {name: json.loads(text) for one in carried for name, text in one["data"].items()} == {
        f"{name}.json": board for name, board in boards().items()
    }
    (monitor,) = kinds("PodMonitor", *EVERYTHING)
    wanted = monitor["spec"]["selector"]["matchLabels"]
    for one in workloads(*EVERYTHING).values():
        assert wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (("--set", "kafka.bootstrap="), "kafka.bootstrap is host:port"),
        (("--set", "secrets.existing="), "secrets.existing names the Secret"),
        (("--set-file", "config=/dev/null"), "give the operator's file"),
        (("--set", "kafka.partitons=3"), "kafka"),
        (("--set", "kafka.replication=0"), "replication"),
        (("--set", "terminationGracePeriodSeconds=5"), "terminationGracePeriodSeconds"),
        (("--set", "kafka.securityProtocol=SASL_SSL"), "kafka.saslUser is needed"),
        (("--set", "ingress.enabled=true"), "ingress.host is the name"),
        (("--set", "monitoring.podMonitor=true,monitoring.serviceMonitor=true"), "choose one"),
        (("--set", "scorer.autoscaling.by=hope"), "by"),
    ],
)
def test_a_mistake_is_refused_with_what_would_be_right(values: tuple[str, ...], why: str) -> None:
    command = [find("helm"), "template", "night", str(CHART), "--kube-version", KUBERNETES, *NEEDED, *CONFIG, *values]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert why in done.stderr


def test_nothing_else_is_rendered() -> None:
    assert {one["kind"] for one in chart()} == {
        "ConfigMap", "Deployment", "PodDisruptionBudget", "Service", "StatefulSet",
    }  # fmt: skip
