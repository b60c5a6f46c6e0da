"""From the words of a post to the brand that hears of it: both services agree on what a name is, however it is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from prometheus_client import CollectorRegistry

from ingest.brands import BrandBook
from ingest.normalize import Normalizer
from ingest.schemas import PostIn
from scorer.metrics import ScorerMetrics
from scorer.pipeline import CascadeProcessor
from scorer.sentiment.model import Reading
from scorer.virality.forecast import ClosedForm
from scorer.watched import Watched
from services.base.clock import ManualClock
from services.base.metrics import FloorMetrics
from services.config.loading import parse
from services.contracts.codec import decode, encode
from services.contracts.post import PostKind, PostObserved
from services.contracts.signal import PostNegative
from services.contracts.topics import POSTS
from services.eventlog.base import Record
from services.stream.deadletter import DeadLetters

NOW = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
BRANDS = parse(
    """
brands:
  - {id: united, name: United, accounts: [{network: x, handle: united, owner: care}]}
  - {id: delta, name: Delta, names: [デルタ, 델타, เดลต้า], exclude: [Delta force]}
"""
).brands


class Heard(NamedTuple):
    brand: str
    reason: str
    id: str


async def heard(text: str, *, version: int = PostObserved.VERSION) -> list[Heard]:
    """Who hears what of a negative post, through ingest, the wire and the scorer; in older records nobody wrote down where
    brands are named."""
    normalizer = Normalizer(BrandBook(BRANDS), {}, max_text_chars=1000)
    post = PostIn(network="x", post_id="1", kind=PostKind.ORIGINAL, text=text)
    (observation,) = normalizer.normalize(post, NOW).observations
    value = encode(observation.event.model_copy(update={"mentions": ()} if version == 1 else {}), observation.id)
    value = value.replace(b'"version":%d' % PostObserved.VERSION, b'"version":%d' % version, 1)
    return await _scored([Record(POSTS.name, 0, 0, observation.event.conversation, value, 0)])


async def _scored(records: Sequence[Record]) -> list[Heard]:
    async def score(texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        return [Reading(0.9, 0.05, 0.05) for _ in zip(texts, languages, strict=True)]

    registry, clock = CollectorRegistry(), ManualClock(NOW)
    lane = CascadeProcessor(
        0, DeadLetters("cascades", 100, clock, FloorMetrics(registry).dead_letters),
        score=score, model="test", forecaster=ClosedForm(),
        watching=lambda: Watched({brand.id: brand for brand in BRANDS}),
        horizon_seconds=3600, expire_seconds=3600, metrics=ScorerMetrics(registry),
    )  # fmt: skip
    outcome = await lane.process(records, NOW)
    envelopes = [decode(message.value) for message in outcome.appends]
    return [
        Heard(one.event.brand, one.event.relevance.reason, one.id)
        for one in envelopes
        if isinstance(one.event, PostNegative)
    ]


PAIRS = [
    ("\uff35\uff2e\uff29\uff34\uff25\uff24 beats Delta", "United beats Delta"),
    ("\uff35\uff2e\uff29\uff34\uff25\uff24 beats \uff24\uff25\uff2c\uff34\uff21", "United beats Delta"),
    ("Uni\u200bted beats Del\u00adta", "United beats Delta"),
    ("\U0001f4a5\U0001d11e United beats Delta", "\u00a7\u00a7 United beats Delta"),
    ("\uff20united learn from Delta", "@united learn from Delta"),
    ("\uff03Delta you are the worst, unlike United", "#Delta you are the worst, unlike United"),
    ("United beats デルタ", "United beats Delta"),
    ("United beats 델타는", "United beats Delta"),
    ("United beats เดลต้า", "United beats Delta"),
    ("United and bob@delta.com are late", "United and bob@example.com are late"),
    ("United and not.delta@example.com are late", "United and somebody@example.com are late"),
    ("United beats the Delta force", "United beats the army"),
]


@pytest.mark.parametrize(("written", "plain"), PAIRS)
@pytest.mark.parametrize("version", [3, 2, 1])
async def test_a_post_is_judged_alike_however_its_names_are_written(written: str, plain: str, version: int) -> None:
    expected = await heard(plain)
    assert expected
    assert await heard(written, version=version) == expected, (
        "the same brands, for the same reasons, under the same ids"
    )


async def test_the_brand_that_loses_the_comparison_hears_of_it_and_the_other_does_not() -> None:
    (only,) = await heard("\uff35\uff2e\uff29\uff34\uff25\uff24 beats Delta")
    assert only.brand == "delta"
