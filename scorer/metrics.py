"""Every metric of the scorer, with unit and meaning. Labels come from closed sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from scorer.seen import MOST_IDS
from services.contracts.post import CoverageState
from services.contracts.signal import Level

MOST_LANGUAGES: Final = 60
MOST_BRANDS: Final = 500
"""Brands that get a series of their own: 10,000 brands on ten replicas would be most of what Prometheus holds."""


class ScorerMetrics:
    """The metrics of one process, declared once on its registry."""

    def __init__(self, registry: CollectorRegistry, networks: Iterable[str] = ()) -> None:
        """`networks` are those that the configuration names."""
        self.posts = Counter(
            "firebreak_scorer_posts_total", "Posts read, duplicates among them", ["kind"], registry=registry
        )
        self.duplicates = Counter(
            "firebreak_scorer_duplicates_total", "Events dropped because they were counted already", registry=registry
        )
        self.dedup_window = Gauge(
            "firebreak_scorer_dedup_window_ids",
            "Events that are remembered for each conversation, at most",
            registry=registry,
        )
        self.dedup_window.set(MOST_IDS)
        self.dedup_misses = Counter(
            "firebreak_scorer_dedup_misses_total",
            "Events taken because they were not counted yet",
            registry=registry,
        )
        self.dedup_forgotten = Counter(
            "firebreak_scorer_dedup_forgotten_total",
            "Events of very large conversations that were forgotten: if one of them were sent again, it would count twice",
            registry=registry,
        )
        self.whereabouts_forgotten = Counter(
            "firebreak_scorer_whereabouts_forgotten_total",
            "Places and deletions of posts, hidden ones, erased authors, and conversations that are over, forgotten early "
            "because a lane knew too many",
            ["what"],
            registry=registry,
        )
        for what in ("place", "deletion", "hidden", "author", "conversation"):
            self.whereabouts_forgotten.labels(what)
        self.abstained = Counter(
            "firebreak_scorer_abstained_total", "Texts on which the model abstained", registry=registry
        )
        self.late = Counter(
            "firebreak_scorer_late_posts_total",
            "Posts heard late by the times that many of them claim: they count in the time in which they were written",
            registry=registry,
        )
        self.signals = Counter("firebreak_scorer_signals_total", "Signals written", ["type"], registry=registry)
        self.forecasts = Counter(
            "firebreak_scorer_forecasts_total", "Forecasts announced", ["level"], registry=registry
        )
        self.cascades = Gauge("firebreak_scorer_cascades", "Live conversations", ["partition"], registry=registry)
        self.brand_posts = Counter(
            "firebreak_scorer_brand_posts_total",
            "Posts about a brand, counted when their minute is over; brands beyond the first 500 count as one",
            ["brand"],
            registry=registry,
        )
        self.brand_negative = Counter(
            "firebreak_scorer_brand_negative_posts_total",
            "Posts that are negative about a brand, counted when their minute is over",
            ["brand"],
            registry=registry,
        )
        self.unread = Counter(
            "firebreak_scorer_unread_posts_total",
            "Posts about a brand that the model would not read, by their language; `other` beyond the first 500 brands and 60 "
            "languages, and for no language at all",
            ["brand", "language"],
            registry=registry,
        )
        self.coverage = Counter(
            "firebreak_scorer_source_coverage_total",
            "Reports of connectors: healthy heartbeats, and gaps in what they saw",
            ["network", "state"],
            registry=registry,
        )
        self.expect(networks)
        self._brands: set[str] = set()
        self._languages: set[str] = set()
        self.degraded = Gauge(
            "firebreak_scorer_model_degraded",
            "1 while a fallback reads the posts instead of the model, else 0",
            registry=registry,
        )
        for level in Level:
            self.forecasts.labels(level.value)

    def expect(self, networks: Iterable[str]) -> None:
        """Make the series of these networks: a rate over one that appears with its first gap never sees that gap."""
        for network in networks:
            for state in CoverageState:
                self.coverage.labels(network, state)

    def count_brand(self, brand: str, posts: int, negative: int) -> None:
        """Count one minute of one brand. The number of labels is bounded, however many brands are configured."""
        label = _label(brand, self._brands, MOST_BRANDS)
        self.brand_posts.labels(label).inc(posts)
        self.brand_negative.labels(label).inc(negative)

    def count_unread(self, brand: str, language: str | None) -> None:
        """Count a post that was not read."""
        in_language = _label(language, self._languages, MOST_LANGUAGES)
        self.unread.labels(_label(brand, self._brands, MOST_BRANDS), in_language).inc()


def _label(value: str | None, known: set[str], most: int) -> str:
    """The value as a label: at most so many are told apart."""
    if value is None:
        return "other"
    if len(known) < most:
        known.add(value)
    return value if value in known else "other"
