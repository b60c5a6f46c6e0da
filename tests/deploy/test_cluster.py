"""The chart against a real API server: every object is taken, its pods are admitted under the strictest standard, and an
installed release can be upgraded to any other values and rolled back."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from services.runtime.registry import SERVICES
from tests.deploy.apiserver import NAMESPACE, Cluster, cluster
from tests.deploy.rendered import CHART, CONFIG, EVERYTHING, NEEDED, OTHERWISE, chart

VALUES = {"plain": (), "everything": EVERYTHING, "otherwise": OTHERWISE}
API = {"v1": "api/v1"}


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("kubernetes")) as one:
        yield one


def plural(kind: str) -> str:
    return {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}.get(kind, f"{kind.lower()}s")


def path_of(one: dict[str, Any]) -> str:
    group = one["apiVersion"]
    return f"/{API.get(group, f'apis/{group}')}/namespaces/{NAMESPACE}/{plural(one['kind'])}"


def workloads(kubernetes: Cluster) -> dict[str, dict[str, Any]]:
    found = kubernetes.all_of("apis/apps/v1", "deployments") + kubernetes.all_of("apis/apps/v1", "statefulsets")
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in found}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_every_object_is_taken_as_it_stands_and_no_field_of_it_is_unknown(
    kubernetes: Cluster, values: tuple[str, ...]
) -> None:
    """What `kubectl apply --dry-run=server --validate=strict` does."""
    for one in chart(*values):
        path = f"{path_of(one)}/{one['metadata']['name']}"
        answer = kubernetes.apply(path, one)
        assert answer.status_code in {200, 201}, f"{one['kind']}: {answer.text}"
        assert "warning" not in answer.headers, answer.headers["warning"]


def test_a_field_that_nobody_knows_would_be_found(kubernetes: Cluster) -> None:
    for one in chart(*EVERYTHING):
        broken = copy.deepcopy(one)
        broken["sepc"] = {}
        path = f"{path_of(one)}/{one['metadata']['name']}"
        answer = kubernetes.apply(path, broken)
        assert answer.status_code in {400, 422, 500}, one["kind"]
        assert "sepc" in answer.text


def test_a_release_is_installed_upgraded_to_any_values_and_rolled_back(kubernetes: Cluster) -> None:
    kubernetes.helm("install", "night", CHART, *NEEDED, *CONFIG)
    try:
        first = workloads(kubernetes)
        assert set(first) == set(SERVICES)
        for values in (EVERYTHING, OTHERWISE, ()):
            kubernetes.helm("upgrade", "night", CHART, *NEEDED, *CONFIG, *values)
            stored = {one["metadata"]["name"] for one in workloads(kubernetes).values()}
            assert stored == {one["metadata"]["name"] for one in first.values()}
        kubernetes.helm("rollback", "night", "2")
        (scaled,) = kubernetes.all_of("apis/keda.sh/v1alpha1", "scaledobjects")
        assert scaled["spec"]["scaleTargetRef"]["name"] == workloads(kubernetes)["scorer"]["metadata"]["name"]
    finally:
        kubernetes.helm("uninstall", "night")
    assert workloads(kubernetes) == {}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_pods_are_admitted_under_the_strictest_standard(kubernetes: Cluster, values: tuple[str, ...]) -> None:
    made = [one for one in chart(*values) if one["kind"] in {"Deployment", "StatefulSet"}]
    assert len(made) == len(SERVICES)
    for one in made:
        name = one["metadata"]["name"]
        assert kubernetes.refuses_pod(one, name) is None
        # It is the admission that says so: each of these is refused for its own reason.
        for mistake, why in (
            ({"hostNetwork": True}, "host namespaces"),
            ({"securityContext": {"runAsNonRoot": True}}, "seccompProfile"),
            ({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}, "runAsNonRoot"),
        ):
            worse = copy.deepcopy(one)
            worse["spec"]["template"]["spec"] |= mistake
            assert why in (kubernetes.refuses_pod(worse, name) or "")
        worse = copy.deepcopy(one)
        worse["spec"]["template"]["spec"]["containers"][0]["securityContext"].pop("capabilities")
        assert "capabilities" in (kubernetes.refuses_pod(worse, name) or "")


def test_one_service_is_upgraded_after_the_other_and_nothing_else_changes(kubernetes: Cluster) -> None:
    """The order of the runbook: readers before writers, so the alerter, the scorer, and then ingest."""
    kubernetes.helm("install", "night", CHART, *NEEDED, *CONFIG)
    try:
        told: list[str] = []
        for service in ("alerter", "scorer", "ingest"):
            told += ["--set-string", f"{service}.tag=0.2.0"]
            before = {name: one["metadata"]["generation"] for name, one in workloads(kubernetes).items()}
            kubernetes.helm("upgrade", "night", CHART, *NEEDED, *CONFIG, *told)
            after = workloads(kubernetes)
            changed = {name for name, one in after.items() if one["metadata"]["generation"] != before[name]}
            assert changed == {service}
            (container,) = after[service]["spec"]["template"]["spec"]["containers"]
            assert container["image"].endswith(f"firebreak-{service}:0.2.0")
    finally:
        kubernetes.helm("uninstall", "night")
