"""An edit of a schedule puts nobody on call and takes nobody off it at once, and leaves the past as it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Absence, unroll
from alerter.oncall.versions import Version, edited
from services.config.rota import Schedule, zone_of
from tests.unit.alerter.test_oncall import BEGIN, HARD, HOUR, at, layer, moments, schedule, schedules

DAY = timedelta(days=1)
FOUR = ("r0", "r1", "r2", "r3")


def weekly(*people: str, **more: Any) -> Schedule:
    return schedule(layer(rotation="weekly", responders=people, **more))


def roster(history: Sequence[Version], now: datetime, absences: Sequence[Absence] = ()) -> Roster:
    return Roster((), absences, {"night": history}, now)


def turns(of: Schedule, history: Sequence[Version], begin: datetime, days: float) -> list[str | None]:
    return [s.responder for s in roster(history, begin).unroll(of, begin, begin + days * DAY)]


def people(of: Schedule) -> set[str]:
    return {who for one in of.layers for who in one.responders}


# -- what an edit does -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("week", range(3))
def test_a_member_who_is_added_waits_for_their_turn(week: int) -> None:
    """The turn of whoever is on duty goes on, and the new one comes after whoever stands before them."""
    three, four = weekly(*FOUR[:3]), weekly(*FOUR)
    now = at("2026-03-09T12:00") + week * 7 * DAY
    (was,) = history = edited([], three, BEGIN)
    on = unroll(three, (), now, now + HOUR)[0].responder
    after = edited(history, four, now)
    assert after[0] == was
    ahead = turns(four, after, now, 28)
    start = FOUR.index(str(on))
    assert ahead == [FOUR[(start + n) % 4] for n in range(5)]
    behind = roster(after, now).unroll(four, BEGIN, now)
    assert behind == unroll(three, (), BEGIN, now), "the past is as it was"


@pytest.mark.parametrize("gone", FOUR)
def test_a_member_who_is_taken_out_is_followed_by_the_next_and_nobody_else_moves(gone: str) -> None:
    four, now = weekly(*FOUR), at("2026-03-11T12:00")
    on = str(unroll(four, (), now, now + HOUR)[0].responder)
    left = [who for who in FOUR if who != gone]
    after = edited(edited([], four, BEGIN), weekly(*left), now)
    first = on if gone != on else FOUR[(FOUR.index(on) + 1) % 4]
    start = left.index(first)
    assert turns(weekly(*left), after, now, 21) == [left[(start + n) % 3] for n in range(4)]


def test_a_shift_that_is_longer_by_the_edit_still_ends_when_it_would_have() -> None:
    daily, whole = schedule(layer(responders=FOUR)), weekly(*FOUR)
    now = at("2026-03-10T12:00")
    on = str(unroll(daily, (), now, now + HOUR)[0].responder)
    after = edited(edited([], daily, BEGIN), whole, now)
    first, second, *_ = roster(after, now).unroll(whole, now, now + 20 * DAY)
    assert (first.responder, first.ends) == (on, at("2026-03-11T09:00")), "the present shift ends as planned"
    assert second.responder == FOUR[(FOUR.index(on) + 1) % 4]
    assert second.ends == at("2026-03-16T09:00")


def test_another_layer_counts_from_its_first_shift_and_does_not_wait_for_the_one_below() -> None:
    year = layer(rotation="custom", shift_hours=366 * 24, responders=["r0"])
    weekend = layer(id="weekend", responders=["r1"], only=[{"days": ["sat", "sun"]}])
    plain, both = schedule(year), schedule(year, weekend)
    now = at("2026-03-11T12:00")
    after = edited(edited([], plain, BEGIN), both, now)
    rota = roster(after, now).unroll(both, now, now + 6 * DAY)
    assert [(s.responder, s.begins) for s in rota[1:]] == [
        ("r1", at("2026-03-14T00:00")),
        ("r0", at("2026-03-16T00:00")),
    ]


def test_a_gap_is_closed_at_once() -> None:
    office = weekly("r0", only=[{"days": ["mon"]}])
    closed = schedule(layer(id="always", responders=["r1"]), *office.layers)
    now = at("2026-03-10T12:00")
    after = edited(edited([], office, BEGIN), closed, now)
    assert roster(after, now).on_call(closed, now).responder == "r1"


def test_an_edit_that_is_taken_back_before_it_counts_leaves_no_trace() -> None:
    daily, now = schedule(layer(responders=FOUR)), at("2026-03-10T12:00")
    before = edited([], daily, BEGIN)
    pending = edited(before, weekly(*FOUR), now)
    assert len(pending) == 2
    assert edited(pending, daily, now + HOUR) == before
    again = edited(pending, weekly("r3", "r2"), now + HOUR)
    assert again[:1] == before
    assert len(again) == 2, "what never held is not kept"


def test_the_same_schedule_makes_no_version() -> None:
    history = edited([], weekly(*FOUR), BEGIN)
    assert edited(history, weekly(*FOUR), BEGIN + DAY) == history
    described = weekly(*FOUR).model_copy(update={"description": "the night shift"})
    assert edited(history, described, BEGIN + DAY) == history


def test_without_a_history_the_file_alone_decides() -> None:
    of, now = weekly(*FOUR), at("2026-03-10T12:00")
    assert Roster().unroll(of, now, now + 30 * DAY) == unroll(of, (), now, now + 30 * DAY)


# -- for any edit at any moment ----------------------------------------------------------------------------------------


absent = st.lists(
    st.builds(
        lambda who, begins, days: Absence("a", who, begins, begins + days * DAY, "sick", "UTC", "lee", "", BEGIN),
        st.sampled_from(["ana", "ben", "cem"]),
        moments,
        st.integers(1, 200),
    ),
    max_size=2,
)


CHANGES = ("2026-03-08T07", "2026-03-29T01", "2026-04-04T15", "2026-10-03T15", "2026-10-25T01", "2026-11-01T06")
near_changes = st.builds(
    lambda change, minutes: datetime.fromisoformat(f"{change}:00+00:00") + timedelta(minutes=minutes),
    st.sampled_from(CHANGES),
    st.integers(-180, 180),
)
any_moment = moments | near_changes


@given(st.lists(st.tuples(schedules, any_moment), min_size=2, max_size=5), absent, any_moment)
def test_no_edit_changes_who_is_on_call_or_was(
    edits: list[tuple[Schedule, datetime]], absences: list[Absence], early: datetime
) -> None:
    """Unless that person was taken out; where nobody was on call, somebody may be."""
    edits = sorted(edits, key=lambda pair: pair[1])
    (of, _), *rest = edits
    history = edited([], of, early)
    for new, now in rest:
        before = roster(history, now, absences)
        history_after = edited(history, new, now, absences)
        after = roster(history_after, now, absences)
        on, then = before.on_call(of, now).responder, after.on_call(new, now).responder
        if on is not None and on in people(new):
            assert then == on
        ends = before.on_call(of, now).ends
        if on is None:
            assert edited(history, new, now, absences)[-1].holds_from <= now, "a gap that could be closed stays"
        else:
            assert history_after[-1].holds_from <= max(now, ends), "the edit waits for longer than the next hand-over"
        begin = now - 40 * DAY
        assert after.unroll(new, begin, now) == before.unroll(of, begin, now), "the past is rewritten"
        unnoted = roster(history, now, absences)
        assert unnoted.on_call(new, now).responder == then, "whoever reads before it is noted sees the same"
        of, history = new, history_after


# -- following the sun -------------------------------------------------------------------------------------------------

SUN = (("Europe/Berlin", "ana", "ben"), ("America/New_York", "cem", "dee"), ("Australia/Lord_Howe", "eva", "fay"))


def sun(**more: Any) -> Schedule:
    """Each office from 8 to 18 by its own clocks, the later ones above; what no office has is the first one's."""
    always = layer(id="rest", rotation="weekly", responders=["gus"], zone="UTC")
    offices = [
        layer(
            id=zone.split("/")[1].lower(),
            zone=zone,
            responders=who,
            only=[{"begins": "08:00", "ends": "18:00"}],
            **more,
        )
        for zone, *who in SUN
    ]
    return schedule(always, *offices, zone="UTC")


@pytest.mark.parametrize("night", ["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"])
def test_layers_follow_the_sun_over_both_clock_changes_of_three_zones(night: str) -> None:
    """An office opens at 8 by its own clocks on each of the days around a change, whichever zone it is in."""
    begin = datetime.fromisoformat(night).replace(tzinfo=UTC) - 2 * DAY
    rota = unroll(sun(), (), begin, begin + 5 * DAY)
    assert all(a.ends == b.begins for a, b in pairwise(rota))
    for number in range(5 * 24 * 4):
        moment = begin + number * timedelta(minutes=15)
        (on,) = [s.responder for s in rota if s.begins <= moment < s.ends]
        open_ = [who for zone, *who in SUN if 8 <= moment.astimezone(zone_of(zone)).hour < 18]
        assert on in (open_[-1] if open_ else ["gus"]), moment


@pytest.mark.parametrize("zone", HARD)
def test_a_layer_without_a_zone_has_that_of_its_schedule(zone: str) -> None:
    own = schedule(layer(zone=zone), zone="UTC")
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    assert unroll(own, (), begin, begin + 60 * DAY) == unroll(schedule(zone=zone), (), begin, begin + 60 * DAY)


@pytest.mark.parametrize("night", ["2026-03-29T00:30", "2026-10-25T00:30", "2026-03-28T22:30", "2026-10-25T01:30"])
def test_an_edit_in_the_night_the_clocks_change_takes_nobody_off(night: str) -> None:
    """Every quarter of an hour around the skipped and the doubled hour."""
    twelve = layer(rotation="custom", shift_hours=4, begins="2026-01-05T02:15", responders=FOUR[:3])
    of, new = schedule(twelve), schedule(twelve.model_copy(update={"responders": FOUR}))
    for quarter in range(24):
        now = datetime.fromisoformat(night).replace(tzinfo=UTC) + quarter * timedelta(minutes=15)
        on = unroll(of, (), now, now + HOUR)[0].responder
        history = edited([], of, BEGIN)
        assert roster(edited(history, new, now), now).on_call(new, now).responder == on


def test_a_layer_keeps_its_turn_when_it_moves_to_another_zone() -> None:
    of, now = schedule(layer(responders=FOUR)), at("2026-03-10T12:00")
    moved = schedule(layer(responders=FOUR, zone="America/New_York"))
    on = unroll(of, (), now, now + HOUR)[0].responder
    assert roster(edited(edited([], of, BEGIN), moved, now), now).on_call(moved, now).responder == on


def test_somebody_who_stands_twice_in_a_list_keeps_their_place() -> None:
    twice = schedule(layer(responders=["ana", "ben", "ana", "cem"]))
    longer = schedule(layer(responders=["ana", "ben", "ana", "cem", "dee"]))
    for place in range(4):
        now = at("2026-03-10T12:00") + place * DAY
        ahead = turns(longer, edited(edited([], twice, BEGIN), longer, now), now, 5)
        assert ahead == [longer.layers[0].responders[(place + n) % 5] for n in range(6)]
