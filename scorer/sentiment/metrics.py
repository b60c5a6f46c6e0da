"""The metrics of a sentiment model; those of its batches belong to the batcher."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class ModelMetrics:
    """The metrics of one process. A model gets `truncated.inc` as its `truncated`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.truncated = Counter(
            "firebreak_sentiment_truncated_total", "Texts that were cut because they were too long", registry=registry
        )
