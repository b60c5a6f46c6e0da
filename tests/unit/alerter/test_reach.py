"""The dry run says which steps reach nobody in the coming week, when, for whom and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerter.escalation import dry_run
from alerter.escalation.dry_run import Known
from alerter.oncall.reach import AHEAD, DryRun, Finding, Reachable
from alerter.oncall.responders import Directory, Nobody
from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Absence, Override
from alerter.oncall.versions import Version
from alerter.oncall.wallclock import open_spans
from services.config.rota import Schedule, Window, zone_of
from tests.unit.alerter import make

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC)
"""A Wednesday."""
DANA = {"id": "dana", "methods": ["dana-push", "dana-sms"]}
LEE = {"id": "lee", "methods": ["lee-push"]}
WEEKDAYS = [{"days": ["mon", "tue", "wed", "thu", "fri", "sat"]}]
HERE = Reachable()
EVERY = dict.fromkeys(("desk", "lead", "dana-push", "dana-sms", "lee-push"), HERE)


def a_schedule(zone: str = "UTC", name: str = "night", **layer: Any) -> dict[str, Any]:
    base = {"id": "base", "rotation": "daily", "begins": "2026-01-05T00:00", "responders": ["dana"]}
    return {"id": name, "zone": zone, "layers": [{**base, **layer}]}


def played(
    *steps: list[str],
    endpoints: dict[str, Reachable] | None = None,
    now: datetime = NOW,
    roster: Roster | None = None,
    fallback: tuple[str, ...] = (),
    **more: Any,
) -> list[Finding]:
    policy = {"id": "front-desk", "steps": [{"targets": targets} for targets in steps], "fallback": fallback}
    rules = more.pop("rules", [{"id": "viral", "level": "likely", "policy": "front-desk"}])
    config = make.config(policies=[policy], responders=[DANA, LEE], rules=rules, **more)
    known = EVERY if endpoints is None else endpoints
    return list(DryRun(config, roster or Roster(now=now), known, now).findings())


def said(*steps: list[str], **more: Any) -> list[str]:
    return [finding.words for finding in played(*steps, **more)]


def test_a_policy_that_reaches_somebody_all_week_has_no_findings() -> None:
    assert said(["desk"], ["responder:dana"], ["schedule:night"], ["all"], schedules=[a_schedule()]) == []


def test_a_schedule_that_nobody_has_on_sundays_is_said_with_the_day() -> None:
    found = played(["desk"], ["schedule:night"], schedules=[a_schedule(only=WEEKDAYS)])
    words = "step 2 of front-desk reaches nobody on Sundays: nobody is on call for night"
    assert found == [Finding(words, True)]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Auckland"])
@pytest.mark.parametrize("week", range(0, 53, 4))
@pytest.mark.parametrize("day", [0, 3, 4, 6])
def test_sundays_are_the_zones_own_whatever_day_it_is_and_through_both_clock_changes(
    zone: str, week: int, day: int
) -> None:
    now = NOW + timedelta(weeks=week, days=day)
    found = said(["schedule:night"], schedules=[a_schedule(zone, only=WEEKDAYS)], now=now)
    assert found == ["step 1 of front-desk reaches nobody on Sundays: nobody is on call for night"]


def test_part_of_a_day_is_said_with_its_times_and_zone() -> None:
    office = [{"begins": "08:00", "ends": "24:00"}]
    (found,) = said(["schedule:night"], schedules=[a_schedule("Europe/Berlin", only=office)])
    assert found == (
        "step 1 of front-desk reaches nobody between 00:00 and 08:00 (Europe/Berlin): nobody is on call for night"
    )
    uneven = [{"begins": "08:00", "ends": "24:00"}, {"days": ["sun"]}]
    (found,) = said(["schedule:night"], schedules=[a_schedule("Europe/Berlin", only=uneven)])
    days = "Mondays, Tuesdays, Wednesdays, Thursdays, Fridays, Saturdays"
    assert f"between 00:00 and 08:00 on {days} (Europe/Berlin)" in found
    odd = [{"days": ["mon", "wed"], "begins": "08:00", "ends": "20:00"}, {"days": ["fri"]}]
    (found,) = said(["schedule:night"], schedules=[a_schedule("Europe/Berlin", only=odd)])
    assert "on Wed 20:00 to Fri 00:00, Sat 00:00 to Mon 08:00, Mon 20:00 to Wed 08:00 (Europe/Berlin)" in found


def test_an_override_fills_the_gap_and_one_without_a_person_makes_one() -> None:
    begins = datetime(2026, 3, 8, tzinfo=UTC)
    lee = Override("a", "night", begins, begins + timedelta(days=1), "lee", None, "lee", "", NOW)
    assert said(["schedule:night"], schedules=[a_schedule(only=WEEKDAYS)], roster=Roster((lee,))) == []
    nobody = Override("b", "night", begins, begins + timedelta(days=1), None, None, "lee", "", NOW)
    assert "on Sundays" in said(["schedule:night"], schedules=[a_schedule()], roster=Roster((nobody,)))[0]


def test_a_step_with_two_targets_reaches_nobody_only_where_both_do_not() -> None:
    other = a_schedule(name="day", only=[{"days": ["sun"]}])
    assert said(["schedule:night", "schedule:day"], schedules=[a_schedule(only=WEEKDAYS), other]) == []
    assert said(["schedule:night", "desk"], schedules=[a_schedule(only=WEEKDAYS)]) == []


def test_where_the_fallback_is_told_instead_it_is_no_fault_but_said() -> None:
    found = played(["schedule:night"], schedules=[a_schedule(only=WEEKDAYS)], fallback=("lead",))
    words = "step 1 of front-desk reaches nobody on Sundays: nobody is on call for night"
    words += "; then its fallback (lead) is told instead"
    assert found == [Finding(words, False)]
    assert [one.is_wrong for one in played(["schedule:night"], schedules=[a_schedule()], endpoints={})] == [True]


def test_a_person_without_an_endpoint_that_works_is_named_with_each_method() -> None:
    off = EVERY | {"dana-sms": Reachable(works=False)}
    del off["dana-push"]
    (found,) = said(["responder:dana"], endpoints=off)
    assert found.endswith("dana cannot be reached (dana-push does not exist, dana-sms is disabled or only fails)")
    assert said(["responder:dana"], endpoints=off | {"dana-push": HERE}) == []


def test_without_any_endpoint_every_step_is_wrong() -> None:
    found = played(["desk"], ["all"], ["responder:lee"], endpoints={})
    assert [(one.words.split(":")[0], one.is_wrong) for one in found] == [
        (f"step {number} of front-desk reaches nobody", True) for number in (1, 2, 3)
    ]


def test_an_endpoint_that_is_for_some_brands_leaves_the_others_out_and_they_are_named() -> None:
    limited = EVERY | {"desk": Reachable(frozenset({"acme"}))}
    assert said(["desk"], endpoints=limited) == [
        "step 1 of front-desk reaches nobody for other: endpoint desk is not for this brand"
    ]
    only_acme = [{"id": "viral", "level": "likely", "policy": "front-desk", "brands": ["acme"]}]
    assert said(["desk"], endpoints=limited, rules=only_acme) == []


def test_owners_are_followed_from_each_account_to_an_endpoint() -> None:
    accounts = [
        {"network": "x", "handle": f"acme{n}", "owner": owner} for n, owner in enumerate(("dana", "lee", "ghost"))
    ]
    brands = [{"id": "acme", "name": "Acme", "accounts": accounts}]
    assert said(["owner"], brands=brands) == [
        "step 1 of front-desk reaches nobody for accounts of ghost: endpoint ghost does not exist"
    ]
    none = [*brands, {"id": "bare", "name": "Bare"}]
    assert any("for bare, which has no account" in words for words in said(["owner"], brands=none))


def closed(begins: str, ends: str, zone: str = "UTC", **more: Any) -> Reachable:
    """An endpoint that takes messages only from `begins` to `ends`."""
    return Reachable(windows=(Window(begins=begins, ends=ends, **more),), zone=zone)


NIGHTS = closed("07:00", "22:00", "Europe/Berlin")
AT_NIGHT = "between 22:00 and 07:00 (Europe/Berlin)"
CLOSED = "takes nothing then but severity 1"


def test_an_endpoint_that_takes_nothing_at_night_reaches_nobody_then_and_that_is_said() -> None:
    found = played(["desk"], endpoints=EVERY | {"desk": NIGHTS})
    assert found == [Finding(f"step 1 of front-desk reaches nobody {AT_NIGHT}: endpoint desk {CLOSED}", True)]
    (covered,) = played(["desk"], endpoints=EVERY | {"desk": NIGHTS}, fallback=("lead",))
    assert (covered.is_wrong, covered.words[-42:]) == (False, "; then its fallback (lead) is told instead")
    both = EVERY | {"desk": NIGHTS, "lead": closed("06:00", "23:00", "Europe/Berlin")}
    (late,) = played(["desk"], endpoints=both, fallback=("lead",))
    assert late.is_wrong
    assert "between 23:00 and 06:00 (Europe/Berlin)" in late.words


def test_where_a_step_waits_for_the_hours_of_its_endpoint_the_next_one_comes_at_once_and_that_is_no_fault() -> None:
    first, *others = played(["desk"], ["lead"], endpoints=EVERY | {"desk": NIGHTS}, fallback=("lee-push",))
    words = f"step 1 of front-desk reaches nobody {AT_NIGHT}: endpoint desk {CLOSED}; then step 2 comes at once"
    assert (first, others) == (Finding(words, False), [])


def test_hours_on_some_days_are_said_with_the_days() -> None:
    workdays = EVERY | {"desk": closed("00:00", "24:00", days=("mon", "tue", "wed", "thu", "fri"))}
    assert said(["desk"], endpoints=workdays)[0].startswith(
        "step 1 of front-desk reaches nobody on Saturdays, Sundays: endpoint desk"
    )


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"])
@pytest.mark.parametrize("week", range(0, 53, 2))
def test_hours_are_said_as_written_in_every_week_of_the_year_through_both_clock_changes(zone: str, week: int) -> None:
    now = NOW + timedelta(weeks=week, hours=week)
    found = said(["desk"], endpoints=EVERY | {"desk": closed("07:00", "22:00", zone)}, now=now)
    assert found == [f"step 1 of front-desk reaches nobody between 22:00 and 07:00 ({zone}): endpoint desk {CLOSED}"]


def test_a_person_is_reached_while_any_of_their_methods_takes_messages() -> None:
    by_day, by_night = closed("06:00", "18:00"), closed("18:00", "06:00")
    assert said(["responder:dana"], endpoints=EVERY | {"dana-push": by_day, "dana-sms": by_night}) == []
    hole = EVERY | {"dana-push": by_day, "dana-sms": closed("20:00", "06:00")}
    ways = f"dana-push {CLOSED}, dana-sms {CLOSED}"
    assert said(["responder:dana"], endpoints=hole) == [
        f"step 1 of front-desk reaches nobody between 18:00 and 20:00 (UTC): dana cannot be reached ({ways})"
    ]
    only = {name: one for name, one in EVERY.items() if name != "dana-sms"} | {"dana-push": by_day}
    assert (
        "(dana-push takes nothing then but severity 1, dana-sms does not exist)"
        in said(["responder:dana"], endpoints=only)[0]
    )


def test_on_call_and_hours_are_laid_over_each_other() -> None:
    office = a_schedule("Europe/Berlin", only=[{"begins": "08:00", "ends": "23:00"}], responders=["lee"])
    found = played(["schedule:night"], schedules=[office], endpoints=EVERY | {"lee-push": NIGHTS})
    assert {one.words.removeprefix("step 1 of front-desk reaches nobody ") for one in found} == {
        "between 23:00 and 08:00 (Europe/Berlin): nobody is on call for night",
        f"between 22:00 and 23:00 (Europe/Berlin): lee cannot be reached (lee-push {CLOSED})",
    }


def test_every_endpoint_closed_at_once_is_said_of_the_target_that_stands_for_all() -> None:
    shut = dict.fromkeys(EVERY, closed("06:00", "18:00"))
    assert said(["all"], endpoints=shut) == [
        "step 1 of front-desk reaches nobody between 18:00 and 06:00 (UTC): no endpoint takes anything then but severity 1"
    ]
    assert said(["all"], endpoints=shut | {"lead": HERE}) == []


def away(who: str, begins: datetime, ends: datetime, zone: str = "UTC") -> Absence:
    return Absence("a" * 32, who, begins, ends, "vacation", zone, "lee", "", NOW)


SATURDAY, MONDAY = datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)
THEN = "from Sat 7 Mar 00:00 to Mon 9 Mar 00:00 (UTC)"


def test_a_shift_whose_person_is_absent_reaches_nobody_and_the_absence_is_the_reason() -> None:
    vacation = Roster(absences=(away("dana", SATURDAY, MONDAY),), now=NOW)
    found = played(["schedule:night"], schedules=[a_schedule()], roster=vacation)
    words = f"step 1 of front-desk reaches nobody {THEN}: nobody is on call for night: dana is absent"
    assert found == [Finding(words, True)]
    (instead,) = played(["schedule:night"], schedules=[a_schedule()], roster=vacation, fallback=("lead",))
    assert instead == Finding(f"{words}; then its fallback (lead) is told instead", False)
    filled = a_schedule()
    filled["layers"].insert(0, {**filled["layers"][0], "id": "below", "responders": ["lee"]})
    assert said(["schedule:night"], schedules=[filled], roster=vacation) == []
    lee = Override("b", "night", SATURDAY, MONDAY, "lee", None, "lee", "", NOW)
    taken = Roster((lee,), vacation.absences, now=NOW)
    assert said(["schedule:night"], schedules=[a_schedule()], roster=taken) == []
    whole = Roster(absences=(away("dana", NOW - timedelta(days=1), NOW + timedelta(days=30)),), now=NOW)
    assert said(["schedule:night"], schedules=[a_schedule()], roster=whole) == [
        "step 1 of front-desk reaches nobody in the whole coming week: nobody is on call for night: dana is absent"
    ]


def test_gaps_of_every_week_and_an_absence_are_two_findings_each_with_its_time() -> None:
    vacation = Roster(absences=(away("dana", MONDAY, MONDAY + timedelta(days=1)),), now=NOW)
    found = said(["schedule:night"], schedules=[a_schedule(only=WEEKDAYS)], roster=vacation)
    monday = "from Mon 9 Mar 00:00 to Tue 10 Mar 00:00 (UTC)"
    assert sorted(found) == [
        f"step 1 of front-desk reaches nobody {monday}: nobody is on call for night: dana is absent",
        "step 1 of front-desk reaches nobody on Sundays: nobody is on call for night",
    ]


def test_turns_of_somebody_who_cannot_be_reached_have_dates_beside_the_gaps_of_every_week() -> None:
    gone = {name: one for name, one in EVERY.items() if not name.startswith("dana")}
    rota = a_schedule(only=WEEKDAYS, responders=["lee", "dana", "lee", "dana", "lee", "dana", "lee"])
    turns, gaps = said(["schedule:night"], schedules=[rota], endpoints=gone)
    assert "Fri 6 Mar 00:00 to Sat 7 Mar 00:00, Mon 9 Mar 00:00 to Tue 10 Mar 00:00 (UTC): dana cannot" in turns
    assert gaps == "step 1 of front-desk reaches nobody on Sundays: nobody is on call for night"


def test_a_person_who_is_named_and_absent_is_a_fault_that_no_fallback_mends() -> None:
    """They are paged all the same, so that the fallback is not told."""
    vacation = Roster(absences=(away("dana", SATURDAY, MONDAY, "Europe/Berlin"),), now=NOW)
    time = "from Sat 7 Mar 01:00 to Mon 9 Mar 01:00 (Europe/Berlin)"
    words = f"step 1 of front-desk reaches nobody {time}: dana is absent"
    assert played(["responder:dana"], roster=vacation, fallback=("lead",)) == [Finding(words, True)]
    assert said(["responder:dana", "responder:lee"], roster=vacation) == []
    account = {"network": "x", "handle": "acme", "owner": "dana"}
    owned = [{"id": "acme", "name": "Acme", "accounts": [account]}]
    assert said(["owner"], roster=vacation, brands=owned) == [words]


def test_an_edit_of_a_schedule_counts_from_its_next_hand_over_as_it_does_for_pages() -> None:
    """Lee has the turn until Thursday, whatever the file says since today."""
    before = Schedule.model_validate(a_schedule(responders=["lee"]))
    history = {"night": [Version.of(before)]}
    gone = {name: one for name, one in EVERY.items() if not name.startswith("dana")}
    after = a_schedule(responders=["dana", "lee"])
    (found,) = said(["schedule:night"], schedules=[after], endpoints=gone, roster=Roster(histories=history, now=NOW))
    (alone,) = said(["schedule:night"], schedules=[after], endpoints=gone)
    assert "from Thu 5 Mar 00:00 to Fri 6 Mar 00:00, Sat 7 Mar 00:00 to Sun 8 Mar 00:00" in found
    assert "from Wed 4 Mar 10:30 to Thu 5 Mar 00:00" in alone


@pytest.mark.parametrize("seed", range(6))
def test_the_dry_run_says_of_every_hour_what_the_alerter_would_find(seed: int) -> None:
    """Gaps, a layer of another zone, overrides, absences and hours, hour by hour against what pages people."""
    begins = NOW + timedelta(hours=7 * seed)
    day = timedelta(days=1)
    layers = [
        {"id": "sun", "rotation": "daily", "begins": "2026-01-05T08:00", "responders": ["lee", "dana"],
         "zone": "America/New_York", "only": [{"begins": "08:00", "ends": "20:00"}]},
        {"id": "week", "rotation": "weekly", "begins": "2026-01-05T09:00", "responders": ["dana", "lee"],
         "only": [{"days": ["tue", "thu", "sat"], "begins": "18:00", "ends": "06:00"}]},
    ]  # fmt: skip
    overrides = (
        Override("a", "night", begins + day, begins + 1.5 * day, None, None, "lee", "", NOW),
        Override("b", "night", begins + 2 * day, begins + 3 * day, "dana", None, "lee", "", NOW - day),
    )
    absences = (away("dana", begins + 2.5 * day, begins + 4 * day), away("lee", begins, begins + seed * day))
    roster = Roster(overrides, absences, now=NOW)
    endpoints = EVERY | {"lee-push": closed("05:00", "23:00", "Asia/Tokyo")}
    config = make.config(
        policies=[{"id": "p", "steps": [{"targets": ["schedule:night"]}]}],
        responders=[DANA, LEE],
        rules=[{"id": "viral", "level": "likely", "policy": "p"}],
        schedules=[{"id": "night", "zone": "Europe/Berlin", "layers": layers}],
    )
    pieces = DryRun(config, roster, endpoints, NOW).unreached("schedule:night")
    directory = Directory(config, roster=roster)
    window = endpoints["lee-push"].windows
    gone = 0
    for hour in range(int(AHEAD / timedelta(hours=1))):
        at = NOW + timedelta(hours=hour, minutes=1)
        found = directory.find("schedule:night", None, at)
        is_open = bool(open_spans(window, zone_of("Asia/Tokyo"), at, at + timedelta(seconds=1)))
        reaches = not isinstance(found, Nobody) and (found.responder != "lee" or is_open)
        assert reaches != any(piece.begins <= at < piece.ends for piece in pieces), at
        gone += not reaches
    assert 20 < gone < 160


def test_names_that_lead_nowhere_are_listed_once_with_their_places_and_what_was_meant() -> None:
    policy = {"id": "p", "steps": [{"targets": ["dana"]}, {"targets": ["desk", "dsek"]}], "fallback": ["dsek"]}
    rules = [{"id": "viral", "level": "likely", "policy": "p"}]
    config = make.config(policies=[policy], responders=[DANA, LEE], rules=rules)
    words = [one.words for one in dry_run.findings(config, Known({"desk": HERE}), NOW)]
    assert "there is no endpoint 'dana' (named by step 1 of p): did you mean `responder:dana`?" in words
    assert "there is no endpoint 'dsek' (named by step 2 of p, the fallback of p): did you mean 'desk'?" in words
    assert "there is no endpoint 'lee-push' (named by responder lee)" in words
    assert words[0].startswith("step 1 of p reaches nobody"), "what is wrong comes first"


def test_names_that_endpoints_themselves_lead_to_are_compared_too() -> None:
    policy = {"id": "p", "steps": [{"targets": ["desk"]}]}
    there = {"desk": Reachable(leads_to=(("the owner", "ops"), ("the fallback", "dekk")))}
    words = [one.words for one in dry_run.findings(make.config(policies=[policy], rules=[]), Known(there), NOW)]
    assert "there is no endpoint 'ops' (named by the owner of endpoint desk)" in words
    assert "there is no endpoint 'dekk' (named by the fallback of endpoint desk): did you mean 'desk'?" in words


def test_a_name_that_is_declared_is_to_be_created_and_no_typo() -> None:
    policy = {"id": "p", "steps": [{"targets": ["desk"]}]}
    config = make.config(policies=[policy], rules=[], endpoints=["desk"])
    words = [one.words for one in dry_run.findings(config, Known(), NOW)]
    declared = "there is no endpoint 'desk' (named by step 1 of p): it is declared under `endpoints`, and to be created"
    assert declared in words


def test_findings_are_bounded_and_none_is_dropped_without_a_word() -> None:
    policy = {"id": "p", "steps": [{"targets": [f"desk{n}" for n in range(m, m + 50)]} for m in (0, 50, 100)]}
    config = make.config(policies=[policy], rules=[])
    found = dry_run.findings(config, Known(), NOW)
    assert len(found) == dry_run.MOST + 1
    assert found[-1] == Finding(f"and {150 + 3 - dry_run.MOST} more of the kind", False)
