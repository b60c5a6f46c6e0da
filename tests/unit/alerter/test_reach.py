"""The dry run says which steps reach nobody in the coming week, when, for whom and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerter.escalation import dry_run
from alerter.escalation.dry_run import Known
from alerter.oncall.reach import DryRun, Finding, Reachable
from alerter.oncall.shifts import Override
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
    overrides: tuple[Override, ...] = (),
    fallback: tuple[str, ...] = (),
    **more: Any,
) -> list[Finding]:
    policy = {"id": "front-desk", "steps": [{"targets": targets} for targets in steps], "fallback": fallback}
    rules = more.pop("rules", [{"id": "viral", "level": "likely", "policy": "front-desk"}])
    config = make.config(policies=[policy], responders=[DANA, LEE], rules=rules, **more)
    return list(DryRun(config, overrides, EVERY if endpoints is None else endpoints, now).findings())


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
        "step 1 of front-desk reaches nobody on Thu 00:00 to Thu 08:00, Fri 00:00 to Fri 08:00, Sat 00:00 to Sat 08:00 "
        "and 4 more (Europe/Berlin): nobody is on call for night"
    )


def test_an_override_fills_the_gap_and_one_without_a_person_makes_one() -> None:
    begins = datetime(2026, 3, 8, tzinfo=UTC)
    lee = Override("a", "night", begins, begins + timedelta(days=1), "lee", None, "lee", "", NOW)
    assert said(["schedule:night"], schedules=[a_schedule(only=WEEKDAYS)], overrides=(lee,)) == []
    nobody = Override("b", "night", begins, begins + timedelta(days=1), None, None, "lee", "", NOW)
    assert "on Sundays" in said(["schedule:night"], schedules=[a_schedule()], overrides=(nobody,))[0]


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


def test_names_that_lead_nowhere_are_listed_once_with_their_places_and_what_was_meant() -> None:
    policy = {"id": "p", "steps": [{"targets": ["dana"]}, {"targets": ["desk", "dsek"]}], "fallback": ["dsek"]}
    rules = [{"id": "viral", "level": "likely", "policy": "p"}]
    config = make.config(policies=[policy], responders=[DANA, LEE], rules=rules)
    words = [one.words for one in dry_run.findings(config, Known({"desk": HERE}, ()), NOW)]
    assert "there is no endpoint 'dana' (named by step 1 of p): did you mean `responder:dana`?" in words
    assert "there is no endpoint 'dsek' (named by step 2 of p, the fallback of p): did you mean 'desk'?" in words
    assert "there is no endpoint 'lee-push' (named by responder lee)" in words
    assert words[0].startswith("step 1 of p reaches nobody"), "what is wrong comes first"


def test_a_name_that_is_declared_is_to_be_created_and_no_typo() -> None:
    policy = {"id": "p", "steps": [{"targets": ["desk"]}]}
    config = make.config(policies=[policy], rules=[], endpoints=["desk"])
    words = [one.words for one in dry_run.findings(config, Known({}, ()), NOW)]
    declared = "there is no endpoint 'desk' (named by step 1 of p): it is declared under `endpoints`, and to be created"
    assert declared in words


def test_findings_are_bounded_and_none_is_dropped_without_a_word() -> None:
    policy = {"id": "p", "steps": [{"targets": [f"desk{n}" for n in range(m, m + 50)]} for m in (0, 50, 100)]}
    config = make.config(policies=[policy], rules=[])
    found = dry_run.findings(config, Known({}, ()), NOW)
    assert len(found) == dry_run.MOST + 1
    assert found[-1] == Finding(f"and {150 + 3 - dry_run.MOST} more of the kind", False)
