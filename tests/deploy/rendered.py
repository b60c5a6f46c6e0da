"""What the chart renders to, as objects; and what the code would make of a pod's environment."""

from __future__ import annotations

import functools
from typing import Any

import yaml

from services.base.settings import Settings
from tests.deploy.tools import DEPLOY, ROOT, find, run

CHART = DEPLOY / "helm" / "firebreak"
KUBERNETES = "1.30.0"
"""What to render for: a Helm that was built from source knows of none."""
NEEDED = ("--set", "kafka.bootstrap=kafka:9092", "--set", "secrets.existing=ours")
CONFIG = ("--set-file", f"config={DEPLOY / 'firebreak.yaml'}")
EVERYTHING = (
    *("--set", "scorer.autoscaling.enabled=true,kafka.prefix=eu.,publicUrl=https://firebreak.example"),
    *("--set", "kafka.securityProtocol=SASL_SSL,kafka.saslUser=firebreak,kafka.caSecret=kafka-ca"),
    *("--set", "monitoring.podMonitor=true,monitoring.rules=true,monitoring.dashboards=true"),
    *("--set-string", "ingest.env.KEY_POSTS_PER_SECOND=5000"),
)
OTHERWISE = (
    *("--set", "scorer.autoscaling.enabled=true,scorer.autoscaling.by=hpa,scorer.replicas=0"),
    *("--set", "ingress.enabled=true,ingress.host=firebreak.example,ingress.className=nginx,ingress.tlsSecret=tls"),
    *("--set", "networkPolicy.enabled=true,networkPolicy.clients[0].podSelector.matchLabels.app=ours"),
    *("--set", "kafka.bootstrap=one:9092\\,two:9094,monitoring.serviceMonitor=true,image.registry=images.example/ours"),
)
"""What `EVERYTHING` leaves out, because one can only have the one or the other."""
ENVIRONMENT = {f"FIREBREAK_{name.upper()}" for name in Settings.model_fields}
SECRET = {
    "FIREBREAK_API_KEYS",
    "FIREBREAK_ADMIN_KEY",
    "FIREBREAK_DATABASE",
    "FIREBREAK_KAFKA_SASL_PASSWORD",
    "FIREBREAK_SECRET_KEYS",
}


@functools.cache
def chart(*values: str) -> list[dict[str, Any]]:
    helm = find("helm")
    said = run(helm, "template", "night", CHART, "--kube-version", KUBERNETES, *NEEDED, *CONFIG, *values, cwd=ROOT)
    lines = [line for line in said.splitlines() if not line.startswith("walk.go")]
    return [one for one in yaml.safe_load_all("\n".join(lines)) if one]


def kinds(kind: str, *values: str) -> list[dict[str, Any]]:
    return [one for one in chart(*values) if one["kind"] == kind]


def workloads(*values: str) -> dict[str, dict[str, Any]]:
    """Service -> its Deployment or StatefulSet."""
    found = kinds("Deployment", *values) + kinds("StatefulSet", *values)
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in found}


def container(workload: dict[str, Any]) -> dict[str, Any]:
    (one,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(one)


def environment(one: dict[str, Any]) -> dict[str, str]:
    """The literal ones; what is referred to is a word that fits."""
    stand_ins = {
        "FIREBREAK_API_KEYS": "desk:0123456789abcdef0123",
        "FIREBREAK_DATABASE": "postgresql+psycopg://u:p@h/d",
        "FIREBREAK_SECRET_KEYS": "A" * 43 + "=",
    }
    return {e["name"]: e.get("value", stand_ins.get(e["name"], "0123456789abcdef0123")) for e in one["env"]}
