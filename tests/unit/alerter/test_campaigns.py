"""Many posts that nobody is angry about are never worse than severity 3, and a campaign mute holds them."""

from __future__ import annotations

from typing import Any

import pytest

from alerter.rules.severity import grade
from services.contracts.base import event_id
from services.contracts.codec import decode, encode
from services.contracts.signal import CascadeForecast, Interval, Level
from tests.unit.alerter import make

OWN = make.card(negative=None, author_brand=make.ACME)
PRAISE = make.card(negative=0.02, positive=0.9)
NEWS = make.card(negative=0.2, positive=0.1)
HAPPY = make.mood(0.05, 0.2, scored=400)
TURNED = make.mood(0.8, 0.2, scored=400)


def viral(**more: Any) -> CascadeForecast:
    fields: dict[str, Any] = {
        "level": Level.CROSSED,
        "final_size": Interval(low=9_000, median=20_000, high=40_000),
        "evidence": make.evidence(replies=400, quotes=0),
    }
    return make.forecast(**(fields | more))


@pytest.mark.parametrize("root", [OWN, PRAISE])
@pytest.mark.parametrize("level", [Level.LIKELY, Level.IMMINENT, Level.CROSSED])
def test_the_brands_own_campaign_and_praise_are_never_worse_than_three(root: Any, level: Level) -> None:
    graded = grade(viral(root=root, mood=HAPPY, level=level, probability=0.95), make.LINE, None)
    assert graded.severity == 3
    assert graded.volume
    assert "has not turned" in graded.words


def test_reposts_alone_say_nothing_bad() -> None:
    signal = viral(root=OWN, mood=None, evidence=make.evidence(replies=3, quotes=2, reposts=20_000))
    assert grade(signal, make.LINE, None).severity == 3


@pytest.mark.parametrize(
    "signal",
    [
        viral(root=OWN, mood=TURNED),
        viral(root=PRAISE, mood=TURNED),
        viral(root=OWN, mood=None),
        viral(root=OWN, mood=make.mood(0.0, 0.2, scored=20)),
        viral(root=NEWS, mood=HAPPY),
        viral(root=make.card(negative=0.9), mood=HAPPY),
        viral(root=make.card(negative=None), mood=HAPPY),
        viral(root=None, mood=HAPPY),
        viral(root=make.card(negative=None, author_brand="blue"), mood=HAPPY),
    ],
    ids=[
        "own, audience turned", "praise, audience turned", "own, replies unread", "own, few replies read", "news",
        "angry root", "unread root", "unknown root", "another brand's post",
    ],
)  # fmt: skip
def test_what_may_be_harm_is_as_severe_as_it_was(signal: CascadeForecast) -> None:
    assert grade(signal, make.LINE, None).severity == 1


def test_a_complaint_among_the_replies_has_its_own_grade_and_ends_the_mute() -> None:
    signal = viral(root=OWN, mood=HAPPY)
    assert grade(signal, make.LINE, 4).severity == 3
    assert not grade(signal, make.LINE, 4).volume
    assert grade(make.negative(severity=4), make.LINE, None).severity == 2


def test_forecasts_of_before_are_read_and_say_nothing_of_who_published_the_root() -> None:
    signal = viral(root=make.card(negative=0.2), mood=HAPPY)
    old = encode(signal, event_id("a")).replace(b'"version":2', b'"version":1', 1)
    found = decode(old).event
    assert isinstance(found, CascadeForecast)
    assert found.root is not None
    assert (found.root.author_brand, found.root.positive) == (None, None)
