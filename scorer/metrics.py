"""Every metric of the scorer, with unit and meaning. Labels come from closed sets."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.contracts.signal import Level


class ScorerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.posts = Counter(
            "firebreak_scorer_posts_total", "Posts read, duplicates among them", ["kind"], registry=registry
        )
        self.duplicates = Counter(
            "firebreak_scorer_duplicates_total", "Events dropped because their id was in the window", registry=registry
        )
        self.abstained = Counter(
            "firebreak_scorer_abstained_total", "Texts the model would not judge", registry=registry
        )
        self.signals = Counter("firebreak_scorer_signals_total", "Signals written", ["type"], registry=registry)
        self.forecasts = Counter("firebreak_scorer_forecasts_total", "Forecasts told", ["level"], registry=registry)
        self.cascades = Gauge("firebreak_scorer_cascades", "Live conversations", ["partition"], registry=registry)
        self.degraded = Gauge(
            "firebreak_scorer_model_degraded",
            "Whether a stand-in reads the posts (1) or the model (0)",
            registry=registry,
        )
        for level in Level:
            self.forecasts.labels(level.value)
