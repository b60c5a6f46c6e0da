"""Who reaches what: the ingress lets out each route of the code and none of the cluster's own, network policies leave open the
ports that are needed, and each process is scraped once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import MagicMock

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from alerter.service import Alerter
from ingest.service import IngestService
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.runtime.exposition import Exposition
from services.runtime.http import application
from tests.deploy.measured import metrics
from tests.deploy.rendered import EVERYTHING, OTHERWISE, kinds, workloads
from tests.deploy.tools import DEPLOY

OPERATION = {"/healthz", "/readyz", "/idlez", "/metrics"}


def paths(routes: Iterable[Any]) -> Iterator[str]:
    for route in routes:
        if hasattr(route, "path"):
            yield str(route.path)
        else:
            yield from paths(route.original_router.routes)


def paths_of(service: type[Alerter | IngestService]) -> set[str]:
    app = FastAPI(docs_url="/docs", redoc_url=None)
    service.mount(MagicMock(), app)
    return set(paths(app.routes))


def served_by(path: str) -> str | None:
    """The service to which the ingress sends a request for `path`: an exact match goes first, then the longest prefix of
    whole segments, as the Kubernetes API says."""
    (ingress,) = kinds("Ingress", *OTHERWISE)
    (rule,) = ingress["spec"]["rules"]
    asked = path.strip("/").split("/")
    best: tuple[int, str] | None = None
    for one in rule["http"]["paths"]:
        segments = one["path"].strip("/").split("/")
        fits = one["path"] == path if one["pathType"] == "Exact" else asked[: len(segments)] == segments
        rank = 1000 if one["pathType"] == "Exact" else len(segments)
        if fits and (best is None or rank > best[0]):
            best = (rank, one["backend"]["service"]["name"].rpartition("-")[2])
    return None if best is None else best[1]


def test_each_route_is_reached_through_the_ingress_at_the_service_that_has_it() -> None:
    ours, theirs = paths_of(Alerter), paths_of(IngestService)
    assert {"/v1/incidents", "/console", "/acknowledge/{token}"} <= ours
    for path in ours:
        assert served_by(path) == "alerter", path
    for path in theirs - ours:
        assert served_by(path) == "ingest", path


def test_what_is_for_the_cluster_alone_is_not_let_out() -> None:
    app = application([], MagicMock(spec=FloorMetrics), lambda: None, dict)
    Exposition(Settings(), CollectorRegistry(), lambda: None).mount(app)
    assert set(paths(app.routes)) >= OPERATION
    for path in OPERATION:
        for way in (path, f"{path}/", f"/v1posts{path}", "/v1x", "/consolex"):
            assert served_by(way) is None, way


def test_the_ingress_leads_to_ports_that_services_have_and_ends_tls_for_its_host() -> None:
    (ingress,) = kinds("Ingress", *OTHERWISE)
    ports = {one["metadata"]["name"]: {p["name"] for p in one["spec"]["ports"]} for one in kinds("Service", *OTHERWISE)}
    (rule,) = ingress["spec"]["rules"]
    for one in rule["http"]["paths"]:
        there = one["backend"]["service"]
        assert there["port"]["name"] in ports[there["name"]]
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "tls"}]
    assert ingress["spec"]["ingressClassName"] == "nginx"


def test_a_network_policy_means_the_pods_of_each_service_and_leaves_open_what_they_need() -> None:
    found = {one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: one["spec"]
             for one in kinds("NetworkPolicy", *OTHERWISE)}  # fmt: skip
    pods = workloads(*OTHERWISE)
    assert set(found) == set(pods)
    anybody: list[dict[str, Any]] = [{"namespaceSelector": {}}]
    clients = [{"podSelector": {"matchLabels": {"app": "ours"}}}]
    for service, spec in found.items():
        template = pods[service]["spec"]["template"]
        assert spec["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        named = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        doors = [rule["from"] for rule in spec["ingress"]]
        assert doors == ([anybody] if service == "scorer" else [anybody, clients])
        assert {port["port"] for rule in spec["ingress"] for port in rule["ports"]} <= named
        # Webhooks go anywhere; the others have business with the brokers, and need names.
        if service == "alerter":
            assert spec["policyTypes"] == ["Ingress"]
        else:
            assert spec["policyTypes"] == ["Ingress", "Egress"]
            assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53, 9092, 9094}


def test_ports_that_brokers_advertise_go_before_those_of_the_bootstrap() -> None:
    policies = kinds("NetworkPolicy", *OTHERWISE, "--set", "networkPolicy.kafkaPorts={19092}")
    (scorer,) = [one for one in policies if one["metadata"]["name"].endswith("-scorer")]
    assert {port["port"] for rule in scorer["spec"]["egress"] for port in rule["ports"]} == {53, 19092}


def test_a_service_monitor_scrapes_each_process_once_under_the_job_of_the_rules() -> None:
    (monitor,) = kinds("ServiceMonitor", *OTHERWISE)
    (pods,) = kinds("PodMonitor", *EVERYTHING)
    (endpoint,) = monitor["spec"]["endpoints"]
    assert pods["spec"]["podMetricsEndpoints"] == [endpoint]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    chosen = [one for one in kinds("Service", *OTHERWISE) if wanted.items() <= one["metadata"]["labels"].items()]
    assert {one["spec"]["selector"]["app.kubernetes.io/component"] for one in chosen} == set(workloads())
    assert all(port["name"] == endpoint["port"] for one in chosen for port in one["spec"]["ports"])


def test_without_keda_the_scorer_scales_by_a_metric_that_its_pods_measure() -> None:
    (scaled,) = kinds("HorizontalPodAutoscaler", *OTHERWISE)
    assert not kinds("ScaledObject", *OTHERWISE)
    target = workloads(*OTHERWISE)["scorer"]
    assert scaled["spec"]["scaleTargetRef"]["kind"] == target["kind"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == target["metadata"]["name"]
    assert "replicas" not in target["spec"]
    (measured,) = scaled["spec"]["metrics"]
    assert metrics()[measured["pods"]["metric"]["name"]] >= {"stage", "partition"}
    assert scaled["spec"]["minReplicas"] == 1, "none at all would measure nothing"
    (with_keda,) = kinds("ScaledObject", *EVERYTHING)
    assert with_keda["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == scaled["spec"]["behavior"]


def test_images_come_from_the_registry_that_is_set_and_a_service_may_be_ahead() -> None:
    for service, one in workloads(*OTHERWISE, "--set-string", "image.tag=7,scorer.tag=8").items():
        (container,) = one["spec"]["template"]["spec"]["containers"]
        tag = "8" if service == "scorer" else "7"
        assert container["image"] == f"images.example/ours/firebreak-{service}:{tag}"


def test_the_runbook_upgrades_readers_before_writers() -> None:
    text = (DEPLOY / "runbook.md").read_text()
    order = [text.index(f"--set-string {service}.tag=NEW") for service in ("alerter", "scorer", "ingest")]
    assert order == sorted(order)
