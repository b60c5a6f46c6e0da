"""What a sentiment model counts while it reads; the batcher counts the rest."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class ModelMetrics:
    """Declared once a process. `truncated.inc` is what a model is given as `truncated`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.truncated = Counter(
            "firebreak_sentiment_truncated_total", "Texts that were cut because they were too long", registry=registry
        )
