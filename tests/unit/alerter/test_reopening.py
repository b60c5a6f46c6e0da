"""A story whose incident is over: what opens another incident about it, and what does not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from alerter.incidents import actions, model, reopening
from alerter.incidents.record import AnswerTerms, IncidentRecord
from alerter.rules import decide
from alerter.rules.severity import grade
from services.contracts.base import StoryId
from services.contracts.incident import IncidentState
from services.contracts.signal import CascadeForecast, Interval, Level
from tests.unit.alerter import make

MINUTE = timedelta(minutes=1)
LATER = make.NOW + 60 * MINUTE


def grown(number: int, engagements: int, level: Level = Level.CROSSED, **more: Any) -> CascadeForecast:
    fields: dict[str, Any] = {
        "evidence": make.evidence(engagements=engagements, reach=9_000 + more.pop("further_reach", 0)),
        "final_size": Interval(low=engagements, median=engagements * 1.1, high=engagements * 2),
        "crossing": None,
        "probability": 1.0,
        "mood": make.mood(0.5, scored=40),
    }
    return make.forecast(number, level, **(fields | more))


def resolved(
    signal: CascadeForecast | None = None, by: str = "dana", now: datetime = make.NOW, **terms: Any
) -> IncidentRecord:
    """An incident of severity 1 that crossed its line with 1,200 engagements, and was resolved."""
    signal = signal or grown(1, 1200, mood=make.mood(0.7, scored=40))
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, 4), "because")
    setting = make.setting(None, AnswerTerms(**terms))
    known = make.UNKNOWN._replace(complaint=4)
    opened = model.open_incident(signal, decision, StoryId(make.STORY), known, setting, now).record
    assert (opened.incident.severity, opened.incident.state) == (1, IncidentState.ACTIVE)
    return actions.resolve(opened, by, "", now).record


def why(ended: IncidentRecord, signal: Any, factor: float = 2, severity: int = 1, now: datetime = LATER) -> str | None:
    return reopening.why_reopened(ended, signal, severity, now, factor)


def test_a_story_twice_as_large_as_when_it_was_resolved_comes_back_and_says_so() -> None:
    said = why(resolved(), grown(2, 2500))
    assert said is not None
    assert said.startswith("The incident before was resolved by dana at 2026-03-01 09:00 UTC with 1,200 engagements")
    assert "and now has 2,500: it has grown 2.1 times" in said


def test_a_trickle_does_not_bring_it_back_however_long_it_lasts() -> None:
    ended = resolved()
    for number in range(2, 200):
        signal = grown(number, 1200 + 5 * number)
        assert why(ended, signal, now=make.NOW + number * MINUTE) is None
        ended = reopening.follow(ended, signal)
    small = resolved(grown(1, 6, mood=make.mood(0.9, scored=10), final_size=Interval(low=6, median=900, high=1800)))
    assert why(small, grown(2, 12, mood=None)) is None, "twice six is no wave"


@pytest.mark.parametrize(
    ("factor", "engagements", "comes_back"), [(1.5, 1800, True), (3, 2500, False), (3, 3600, True)]
)
def test_the_brand_says_how_much_is_too_much(factor: float, engagements: int, comes_back: bool) -> None:
    assert (why(resolved(), grown(2, engagements), factor) is not None) == comes_back


def test_a_famous_quote_brings_it_back_before_its_readers_act() -> None:
    said = why(resolved(), grown(2, 1201, further_reach=3_000_000))
    assert said is not None
    assert "it reaches 3,009,000 followers, and 9,000 then" in said
    assert why(resolved(), grown(2, 1201, further_reach=20_000)) is None, "one more voice is no wave"


def test_a_new_wave_is_one_that_was_not_forecast_when_it_was_resolved() -> None:
    hot = resolved(grown(1, 300, final_size=Interval(low=500, median=1400, high=3000), mood=make.mood()))
    assert why(hot, grown(2, 330, final_size=Interval(low=500, median=1500, high=3000))) is None, "that was known"
    said = why(hot, grown(2, 330, final_size=Interval(low=900, median=2900, high=5000)))
    assert said is not None
    assert "heading for 2,900 engagements, and for 1,400 then" in said
    assert why(hot, grown(2, 600)) is not None, "resolved by mistake while it grew"


def test_many_angry_replies_count_by_themselves() -> None:
    ended = resolved()
    said = why(ended, grown(2, 1400, mood=make.mood(0.95, scored=190)))
    assert said is not None
    assert "152 negative replies and quotes followed" in said
    for number in range(60):
        reply = make.negative(f"r{number}", severity=1)
        if (said := why(ended, reply)) is not None:
            break
        ended = reopening.follow(ended, reply)
    assert said is not None
    assert number == 27, "28 were negative when it was resolved"


def test_many_quotes_that_grow_a_little_each_are_one_growth() -> None:
    ended = resolved()
    for number in range(20):
        signal = grown(1, 100, conversation=f"bsky:q{number}", mood=None)
        said = why(ended, signal)
        if said is not None:
            break
        ended = reopening.follow(ended, signal)
    assert number == 11
    assert said is not None
    assert "and now has 2,400" in said
    for number in range(200):
        ended = reopening.follow(ended, grown(1, 1, conversation=f"bsky:s{number}"))
    assert len(ended.since.sizes) == reopening.MAX_CONVERSATIONS


def test_a_story_that_the_scorer_had_forgotten_counts_on_top_of_what_it_was() -> None:
    ended = resolved(grown(57, 1200, mood=make.mood(0.7, scored=40)))
    assert why(ended, grown(1, 700)) is None
    said = why(ended, grown(2, 1300))
    assert said is not None
    assert "and now has 2,500" in said


def test_forecasts_whose_numbers_begin_anew_are_heard_while_it_is_open() -> None:
    signal = make.forecast(57, Level.LIKELY)
    decision = decide.Decision(make.rule(), grade(signal, make.LINE, None), "because")
    record = model.open_incident(signal, decision, StoryId(make.STORY), make.UNKNOWN, make.setting(), make.NOW).record
    anew = make.forecast(1, Level.CROSSED, at=make.NOW + MINUTE)
    assert model.join(record, anew, grade(anew, make.LINE, None), make.NOW + MINUTE) is not None


def test_a_surge_that_begins_after_it_was_resolved_brings_it_back() -> None:
    ended = resolved(now=make.NOW + 5 * MINUTE)
    assert why(ended, make.surge(begins=make.NOW + 6 * MINUTE)) is not None
    assert why(ended, make.surge(begins=make.NOW)) is None
    surging = model.join(
        model.open_incident(
            make.surge(), decide.Decision(make.rule(), grade(make.surge(), make.LINE, None), "b"),
            StoryId("surge:1"), make.UNKNOWN, make.setting(), make.NOW,
        ).record,
        make.surge(minutes=1, observed=80, factor=10.0), grade(make.surge(factor=10.0), make.LINE, None), make.NOW,
    )  # fmt: skip
    assert surging is not None
    closed = actions.resolve(surging.record, "dana", "", make.NOW).record
    assert why(closed, make.surge(minutes=20, observed=150)) is None
    said = why(closed, make.surge(minutes=30, observed=170))
    assert said is not None
    assert "grew from 80 to 170" in said


def test_resolved_twice_it_is_measured_against_the_second_time() -> None:
    first = resolved()
    quote = grown(1, 1300, conversation="bsky:q1")
    assert why(first, quote) is not None
    decision = decide.Decision(make.rule(), grade(quote, make.LINE, 4), "because")
    known = make.UNKNOWN._replace(openings=1, complaint=4, incident=first.incident.id)
    again = model.open_incident(
        quote, decision, StoryId(make.STORY), known, make.setting(), LATER, reopening.sizes_now(first)
    ).record
    assert again.incident.previous == first.incident.id
    second = actions.resolve(again, "kim", "", LATER).record
    assert why(second, grown(2, 1300)) is None, "the root was as large before, and nothing new came of it"
    said = why(second, grown(2, 3800, conversation="bsky:q1"))
    assert said is not None
    assert "resolved by kim at 2026-03-01 10:00 UTC with 2,500 engagements, and now has 5,000" in said


@pytest.mark.parametrize("state", [IncidentState.EXPIRED, IncidentState.AVERTED])
def test_what_ended_by_itself_comes_back_by_growth_while_it_cools_down_and_by_its_rule_afterwards(
    state: IncidentState,
) -> None:
    ended = resolved(cool_down_minutes=90).model_copy(update={"by_hand": False})
    ended = ended.with_incident(state=state)
    assert why(ended, grown(2, 1300)) is None
    said = why(ended, grown(2, 2500))
    assert said is not None
    assert "never crossed the line" in said
    later = why(ended, grown(2, 1300), now=make.NOW + 90 * MINUTE)
    assert later is not None
    assert later.endswith("a rule fires again.")


def test_what_was_resolved_before_this_was_known_is_measured_all_the_same() -> None:
    old = resolved().model_copy(update={"resolved_by": None})
    said = why(old, grown(2, 2500))
    assert said is not None
    assert said.startswith("The incident before was resolved at 2026-03-01 09:00 UTC with 1,200 engagements, and now")
