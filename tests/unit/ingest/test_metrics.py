"""Metrics are all there from the start, with labels from closed sets."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from ingest.claims import Claim
from ingest.metrics import IngestMetrics, RequestOutcome, ShedReason
from ingest.schemas import Reason


def test_every_reason_is_a_zero_from_the_start() -> None:
    registry = CollectorRegistry()
    IngestMetrics(registry)
    for name, label, values in (
        ("posts_rejected", "reason", Reason),
        ("requests", "outcome", RequestOutcome),
        ("shed", "reason", ShedReason),
        ("claims_ignored", "field", Claim),
    ):
        for value in values:
            assert registry.get_sample_value(f"firebreak_ingest_{name}_total", {label: value.value}) == 0


def test_every_metric_is_named_for_ingest_and_says_what_it_means() -> None:
    registry = CollectorRegistry()
    IngestMetrics(registry)
    for family in registry.collect():
        assert family.name.startswith("firebreak_ingest_")
        assert family.documentation
    assert generate_latest(registry)


def test_what_clients_call_their_networks_makes_no_new_series() -> None:
    registry = CollectorRegistry()
    metrics = IngestMetrics(registry, {"x", "reddit"})
    silent = registry.get_sample_value("firebreak_ingest_last_post_timestamp_seconds", {"network": "reddit"})
    metrics.heard({"x", "made-up", "made-up-too"})
    (family,) = (f for f in registry.collect() if f.name == "firebreak_ingest_last_post_timestamp_seconds")
    assert {sample.labels["network"] for sample in family.samples} == {"x", "reddit", "other"}
    heard = registry.get_sample_value(family.name, {"network": "x"})
    assert heard is not None
    assert silent is not None
    assert heard > silent
