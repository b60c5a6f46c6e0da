"""All metrics of ingest, with unit and meaning. Labels come from closed sets, and their series exist from the start: the rate
of a rare reason is zero then, and not absent."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ingest.brands import Why
from ingest.claims import Claim
from ingest.schemas import Reason
from services.base.metrics import LATENCY_SECONDS
from services.contracts.post import PostKind


class RequestOutcome(StrEnum):
    """How a request ended."""

    ACCEPTED = "accepted"
    PARTIAL = "partial"
    REJECTED = "rejected"
    MALFORMED = "malformed"
    UNAUTHENTICATED = "unauthenticated"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    TOO_SLOW = "too_slow"
    DISCONNECTED = "disconnected"
    LIMITED = "limited"
    SHED = "shed"
    FAILED = "failed"


class ShedReason(StrEnum):
    """Why a request was refused for now."""

    STOPPING = "stopping"
    SCORER_LAG = "scorer_lag"
    REQUESTS_IN_FLIGHT = "requests_in_flight"
    BYTES_IN_FLIGHT = "bytes_in_flight"
    LOG_AWAY = "log_away"
    RATE = "rate"


OTHER: Final = "other"
"""The label of all networks that the configuration does not name: what clients send must not make new series."""


class IngestMetrics:
    """The metrics of one process, declared once on its registry."""

    def __init__(self, registry: CollectorRegistry, networks: Collection[str] = ()) -> None:
        """`networks` are those that the configuration names; all others count as one."""
        self.accepted = _counter(registry, "posts_accepted", "Posts stored, by kind", "kind", PostKind)
        self.rejected = _counter(registry, "posts_rejected", "Posts rejected, by reason", "reason", Reason)
        self.requests = _counter(registry, "requests", "Posting requests, by how they ended", "outcome", RequestOutcome)
        self.shed = _counter(registry, "shed", "Requests refused for now, by reason", "reason", ShedReason)
        self.mentions = _counter(registry, "brand_mentions", "Brands found in accepted posts, by why", "why", Why)
        self.ignored = _counter(
            registry, "claims_ignored", "Claims of accepted posts that were dropped, by field", "field", Claim
        )
        self.unbelieved = Counter(
            "firebreak_ingest_claimed_times_dropped_total",
            "Claimed times that were dropped because they lie in the future",
            registry=registry,
        )
        self.body_bytes = Counter(
            "firebreak_ingest_body_bytes_total", "Bytes of bodies, after decompression", registry=registry
        )
        self.append_seconds = Histogram(
            "firebreak_ingest_append_seconds",
            "Duration of one durable append, in seconds",
            registry=registry,
            buckets=LATENCY_SECONDS,
        )
        self.events = Counter("firebreak_ingest_events_appended_total", "Events appended to the log", registry=registry)
        self._networks: frozenset[str] = frozenset()
        self._last_post = Gauge(
            "firebreak_ingest_last_post_timestamp_seconds",
            "When the last post of a network was accepted, in epoch seconds; before the first one, when the process started or "
            "the configuration began to name the network",
            ["network"],
            registry=registry,
        )
        self.expect(networks)
        self.requests_in_flight = Gauge(
            "firebreak_ingest_requests_in_flight", "Requests that are being served", registry=registry
        )
        self.bytes_in_flight = Gauge(
            "firebreak_ingest_bytes_in_flight", "Bytes of bodies that are held", registry=registry
        )
        self.scorer_lag = Gauge(
            "firebreak_ingest_scorer_lag_records", "Records that the scorer is behind, as last seen", registry=registry
        )
        self.lag_failures = Counter(
            "firebreak_ingest_lag_failures_total",
            "Times the log did not say how far the scorer is behind",
            registry=registry,
        )

    def expect(self, networks: Collection[str]) -> None:
        """From now on the configuration names these networks. One that it no longer names is not missed either."""
        before, self._networks = self._networks, frozenset(networks)
        for network in before - self._networks:
            self._last_post.remove(network)
        for network in self._networks - before:
            self._last_post.labels(network).set_to_current_time()

    def heard(self, networks: Iterable[str]) -> None:
        """Note that posts of these networks were accepted now."""
        for network in {name if name in self._networks else OTHER for name in networks}:
            self._last_post.labels(network).set_to_current_time()


def _counter(registry: CollectorRegistry, name: str, meaning: str, label: str, values: Iterable[StrEnum]) -> Counter:
    counter = Counter(f"firebreak_ingest_{name}_total", meaning, [label], registry=registry)
    for value in values:
        counter.labels(value.value)
    return counter
