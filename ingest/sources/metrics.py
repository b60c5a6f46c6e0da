"""What is counted of sources. `source` is a name of the configuration, and its series go with it."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge


class Trouble(StrEnum):
    """Why a source was opened anew."""

    AWAY = "away"
    REFUSED = "refused"
    LOST = "lost"
    SILENT = "silent"
    FAULT = "fault"


class SourceMetrics:
    """The metrics of all sources of one process. Of each source only its holder counts, and whoever is called."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.posts = Counter(
            "firebreak_source_posts_total", "Posts of a source that were stored", ["source"], registry=registry
        )
        self.rejected = Counter(
            "firebreak_source_items_rejected_total",
            "Items of a source that could not be read or believed, and were left out",
            ["source"],
            registry=registry,
        )
        self.calls = Counter(
            "firebreak_source_calls_total",
            "Calls of networks, by the HTTP status that they were answered with",
            ["source", "status"],
            registry=registry,
        )
        self.left_out = Counter(
            "firebreak_source_left_out_total",
            "What a network told and a source left out on purpose, by why (such as private, reaction, unreadable)",
            ["source", "why"],
            registry=registry,
        )
        self.looks = Counter(
            "firebreak_source_looks_total",
            "Followed posts that a network was asked about, by the result (answered, unanswered, failed)",
            ["source", "result"],
            registry=registry,
        )
        self.restarts = Counter(
            "firebreak_source_restarts_total",
            "Times a source was opened anew, by why (away, refused, lost, silent, fault)",
            ["source", "why"],
            registry=registry,
        )
        self.last_post = Gauge(
            "firebreak_source_last_post_timestamp_seconds",
            "When the last post of a source was stored, in epoch seconds",
            ["source"],
            registry=registry,
        )
        self.lag = Gauge(
            "firebreak_source_lag_seconds",
            "How far the latest thing that a source heard lies back, by its network's clock",
            ["source"],
            registry=registry,
        )
        self.gap = Gauge(
            "firebreak_source_gap", "1 while a source has a gap that goes on, else 0", ["source"], registry=registry
        )
        self.refused = Gauge(
            "firebreak_source_refused", "1 while a network refuses a source, else 0", ["source"], registry=registry
        )
        self.spent = Gauge(
            "firebreak_source_spent_dollars",
            "What a source has spent on calls, in US dollars, by period (day, month)",
            ["source", "period"],
            registry=registry,
        )
        self._sources: frozenset[str] = frozenset()

    def begin(self, source: str) -> None:
        """Count this source from zero, so that a first fault shows as an increase."""
        self._sources |= {source}
        self.posts.labels(source)
        self.rejected.labels(source)
        self.gap.labels(source).set(0)
        self.refused.labels(source).set(0)
        for why in Trouble:
            self.restarts.labels(source, why.value)

    def expect(self, sources: Collection[str]) -> None:
        """Only these are named by the configuration from now on."""
        for source in self._sources.difference(sources):
            self._forget(source)
        self._sources &= frozenset(sources)

    def released(self, source: str) -> None:
        """Another process has it now, and says how it fares; our last values would stay for ever."""
        for gauge in (self.last_post, self.lag, self.gap, self.refused):
            gauge.remove_by_labels({"source": source})
        self.spent.remove_by_labels({"source": source})

    def _forget(self, source: str) -> None:
        self.released(source)
        for counter in (self.posts, self.rejected, self.calls, self.left_out, self.looks, self.restarts):
            counter.remove_by_labels({"source": source})
