"""What the code really measures: every metric name with its labels, and what PromQL expressions speak of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from alerter.metrics import AlerterMetrics
from ingest.metrics import IngestMetrics
from ingest.sources.metrics import SourceMetrics
from scorer.metrics import ScorerMetrics
from scorer.sentiment.batcher import BatcherMetrics
from scorer.sentiment.metrics import ModelMetrics
from services.base.metrics import FloorMetrics
from tests.deploy.tools import DEPLOY

OF_SCRAPING = {"job", "instance", "alertname", "alertstate", "severity", "le"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
FOREIGN: dict[str, set[str]] = {
    "up": set(),
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
    "ALERTS": set(),
}
"""Of Prometheus itself and of its client's process collector."""


def metrics() -> dict[str, set[str]]:
    """Series name -> its own labels."""
    found: dict[str, set[str]] = {name: set(labels) for name, labels in FOREIGN.items()}
    for declared in (
        FloorMetrics,
        IngestMetrics,
        SourceMetrics,
        ScorerMetrics,
        BatcherMetrics,
        ModelMetrics,
        AlerterMetrics,
    ):
        for one in vars(declared(CollectorRegistry())).values():
            if isinstance(one, MetricWrapperBase):
                labels = set(one._labelnames)
                for suffix in SUFFIXES.get(str(one._type), ("",)):
                    found[one._name + suffix] = labels
    return found


def recorded() -> dict[str, set[str]]:
    """Recorded series -> the labels that their names promise (`stage_reason:...` has stage and reason)."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "recording.yml").read_text())["groups"]
    names = [rule["record"] for group in groups for rule in group["rules"]]
    return {name: set(name.split(":")[0].split("_")) - {"job"} for name in names}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def boards() -> dict[str, dict[str, Any]]:
    return {
        path.stem: json.loads(path.read_text()) for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    }


def queries() -> Iterator[tuple[str, str, str]]:
    """(board, panel, expression) of everything that the dashboards ask."""
    for name, board in boards().items():
        for panel in board["panels"]:
            for asked in panel.get("targets", ()):
                yield name, panel["title"], asked["expr"]


SERIES = re.compile(r"(?<![\w:\"$])([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?")
WORDS = {"by", "and", "or", "on", "le", "vector", "sum", "max", "min", "rate", "increase", "count", "absent", "time"}
WORDS |= {"deriv", "histogram_quantile", "label_values", "without", "unless", "ignoring"}


def spoken_of(expression: str) -> Iterator[tuple[str, set[str]]]:
    """(series, labels it is matched by) in a PromQL expression."""
    bare = re.sub(r"\bby\s*\([^)]*\)", "", expression)
    bare = re.sub(r"\bon\s*\([^)]*\)", "", bare)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    for name, matched in SERIES.findall(bare):
        if name not in WORDS:
            yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', matched)))


def grouped_by(expression: str) -> set[str]:
    return {
        label.strip() for inside in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression) for label in inside.split(",")
    }
