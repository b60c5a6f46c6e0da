"""The scorer's metrics stay bounded, however many brands are watched."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from scorer.metrics import MOST_BRANDS, ScorerMetrics


def test_brands_beyond_the_bound_count_as_one() -> None:
    registry = CollectorRegistry()
    metrics = ScorerMetrics(registry)
    for number in range(MOST_BRANDS + 10):
        metrics.count_brand(f"brand-{number}", 3, 1)
    metrics.count_brand("brand-0", 3, 1)
    count = registry.get_sample_value
    assert count("firebreak_scorer_brand_posts_total", {"brand": "brand-0"}) == 6
    assert count("firebreak_scorer_brand_posts_total", {"brand": "other"}) == 30
    assert count("firebreak_scorer_brand_negative_posts_total", {"brand": "other"}) == 10
