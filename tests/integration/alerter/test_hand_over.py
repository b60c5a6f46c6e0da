"""Whoever is asked to take an incident is paged as by a step: by their own rules, by another way if one fails, and in time."""

from __future__ import annotations

from typing import Any

import pytest

from alerter.cli.explain import lines_of
from alerter.notify.formats.notice import Status, notice_of
from services.contracts.signal import Level
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_rings import DANA, LAYER, LEE, act, explained, opened, running, told
from tests.unit.alerter import make

STEPS = {"targets": ["responder:dana"]}, {"after_minutes": 60, "targets": ["lead"]}
SLEEPER = {
    "id": "lee",
    "name": "Lee Park",
    "methods": ["lee-push", "lee-call", "desk"],
    "notify": {
        "urgent": [
            {"method": "lee-push"},
            {"after_minutes": 2, "method": "lee-call"},
            {"after_minutes": 6, "method": "desk"},
        ]
    },
}
PLAIN = {"id": "lee", "name": "Lee Park", "methods": ["lee-push", "lee-call"]}
URGENT = {"urgent_severity": 4}


def said(house: House, path: str) -> list[str]:
    return [str(one.body["data"]["because"]) for one in house.receiver.at(path)]


@pytest.mark.parametrize("taken", [False, True])
async def test_who_is_asked_is_rung_by_their_own_rules_for_as_long_as_they_are_asked(
    make_house: MakeHouse, taken: bool
) -> None:
    async with running(make_house, *STEPS, people=(DANA, SLEEPER), **URGENT) as house:
        incident = await opened(house)
        if taken:
            await act(house, incident, "acknowledge", by="Dana Ito")
        await act(house, incident, "reassign", by="Dana Ito", to="lee", comment="it is yours")
        await house.settle()
        assert told(house) == {"dana-push": 1, "lee-push": 1}
        assert said(house, "/lee-push") == ["Dana Ito asked Lee Park to take it: it is yours"]
        found = await explained(house, incident)
        (ring,) = found["rings"]
        assert (ring["who"], ring["method"], ring["step"]) == ("Lee Park", "lee-call", None), (
            "nothing beyond five minutes"
        )
        assert "rings Lee Park by lee-call" in [one.why for one in lines_of(found)]
        because = [line["because"] for line in found["timeline"]]
        assert (
            "the hand-over told Lee Park by lee-push, then by lee-call after 2 min, then by desk after 6 min" in because
        )
        await house.pass_time(2 * 60)
        assert told(house) == {"dana-push": 1, "lee-push": 1, "lee-call": 1}
        assert said(house, "/lee-call") == [
            "Lee Park is asked to take it: Lee Park has not taken it 2 minutes after being asked"
        ]
        await house.pass_time(20 * 60)
        assert "desk" not in told(house)
        assert told(house).get("lead", 0) == (0 if taken else 1), "after five minutes: the policy, or whoever has it"


async def test_who_is_asked_by_pagerduty_is_rung_although_another_has_it(make_house: MakeHouse) -> None:
    async with running(make_house, *STEPS, people=(DANA, SLEEPER), **URGENT) as house:
        incident = await opened(house)
        await act(house, incident, "acknowledge", by="Dana Ito")
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        await house.pass_time(2 * 60)

        def statuses(path: str) -> list[Status]:
            return [notice.status for one in house.receiver.at(path) if (notice := notice_of(one.raw)) is not None]

        assert statuses("/lee-push") == statuses("/lee-call") == [Status.FIRING]
        assert statuses("/dana-push")[-1] is Status.ACKNOWLEDGED, "to those who know of it it is news"


@pytest.mark.parametrize("what", ["lee acknowledges", "max acknowledges", "resolve", "snooze", "asked again"])
async def test_what_ends_a_hand_over_stops_its_rings(make_house: MakeHouse, what: str) -> None:
    people = (DANA, SLEEPER, {"id": "max", "methods": ["lead"]})
    async with running(make_house, *STEPS, people=people, **URGENT) as house:
        incident = await opened(house)
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        if what == "asked again":
            await act(house, incident, "reassign", by="Dana Ito", to="max")
        elif what in ("resolve", "snooze"):
            await act(house, incident, what, **({"minutes": 600} if what == "snooze" else {}))
        else:
            await act(house, incident, "acknowledge", by=what.partition(" ")[0], minutes=600)
        assert (await explained(house, incident))["rings"] == []
        await house.pass_time(4 * 60)
        assert "lee-call" not in told(house)


async def test_whoever_has_it_may_say_so_again_without_taking_back_what_they_asked(make_house: MakeHouse) -> None:
    async with running(make_house, *STEPS, people=(DANA, SLEEPER), **URGENT) as house:
        incident = await opened(house)
        await act(house, incident, "acknowledge", by="Dana Ito")
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        await act(house, incident, "acknowledge", by="Dana Ito", minutes=50)
        await house.pass_time(2 * 60)
        assert told(house)["lee-call"] == 1


async def test_an_acknowledgement_that_ends_meanwhile_lets_the_other_ring_on(make_house: MakeHouse) -> None:
    async with running(make_house, *STEPS, people=(DANA, SLEEPER), **URGENT) as house:
        incident = await opened(house)
        await act(house, incident, "acknowledge", by="Dana Ito", minutes=1)
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        await house.pass_time(2 * 60)
        assert told(house)["lee-call"] == 1
        await house.pass_time(60)
        assert told(house)["lead"] == 1, "and the policy goes on in two minutes"


@pytest.mark.parametrize("person", [SLEEPER, PLAIN])
async def test_a_hand_over_that_fails_tries_the_next_method_which_hears_how_it_goes_on(
    make_house: MakeHouse, person: dict[str, Any]
) -> None:
    async with running(make_house, *STEPS, people=(DANA, person), **URGENT) as house:
        house.receiver.answers["/lee-push"] = receiver.status(410)
        incident = await opened(house)
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        await house.settle()
        assert told(house)["lee-call"] == 1
        (words,) = said(house, "/lee-call")
        assert words.startswith("Lee Park is asked to take it: the page to Lee Park by lee-push did not get through")
        await act(house, incident, "resolve")
        await house.settle()
        assert house.receiver.types("/lee-call")[-1] == "incident.resolved", "they hear how it goes on"


@pytest.mark.parametrize("taken", [False, True])
async def test_a_hand_over_that_reaches_nobody_is_seen_at_once(make_house: MakeHouse, taken: bool) -> None:
    async with running(make_house, *STEPS, people=(DANA, PLAIN), **URGENT) as house:
        for name in ("lee-push", "lee-call"):
            house.receiver.answers[f"/{name}"] = receiver.status(410)
        incident = await opened(house)
        if taken:
            await act(house, incident, "acknowledge", by="Dana Ito")
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        await house.settle()
        await house.pass_time(1)
        (shown,) = await house.incidents()
        assert shown["assigned_to"] is None
        lost = "Lee Park could not be asked to take it: the page to Lee Park by lee-call did not get through"
        if taken:
            assert said(house, "/dana-push")[-1].startswith(lost)
            assert "; Dana Ito still has it until" in said(house, "/dana-push")[-1]
            assert "lead" not in told(house)
        else:
            (words,) = said(house, "/lead")
            assert lost in words
        await house.pass_time(6 * 60)
        assert not any("within 5 minutes" in words for words in said(house, "/dana-push")), "said once"


async def test_one_message_that_is_lost_after_another_arrived_ends_no_hand_over(make_house: MakeHouse) -> None:
    async with running(make_house, *STEPS, people=(DANA, LEE), **URGENT) as house:
        house.receiver.answers["/lee-call"] = receiver.status(410)
        incident = await opened(house)
        await act(house, incident, "acknowledge", by="Dana Ito")
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        await house.pass_time(3 * 60)
        (shown,) = await house.incidents()
        assert shown["assigned_to"] == "lee"
        await house.pass_time(3 * 60)
        assert "lee did not take it within 5 minutes" in said(house, "/dana-push")[-1]


async def test_who_was_asked_and_did_not_answer_hears_of_later_changes(make_house: MakeHouse) -> None:
    async with running(make_house, *STEPS, people=(DANA, SLEEPER), **URGENT) as house:
        incident = await opened(house)
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        await house.pass_time(6 * 60)
        await house.signal(make.forecast(2, Level.CROSSED, at=house.clock.now(), crossing=None))
        await house.settle()
        assert house.receiver.types("/lee-push") == ["incident.escalated", "incident.updated"]
        assert house.receiver.types("/lee-call") == ["incident.escalated", "incident.updated"], "a webhook keeps state"


async def test_when_the_turn_of_who_was_asked_ends_whoever_has_it_now_is_asked(make_house: MakeHouse) -> None:
    day = {**LAYER, "begins": "2026-02-27T09:01"}
    night = {"id": "night", "zone": "UTC", "layers": [day]}
    rules = {"notify": {"urgent": [{"method": "lee-push"}, {"after_minutes": 2, "method": "lee-call"}]}}
    people = ({**DANA, "methods": ["dana-push", "dana-sms", "dana-call"]}, {**SLEEPER, **rules})
    async with running(make_house, {"targets": ["lead"]}, people=people, schedules=[night], **URGENT) as house:
        incident = await opened(house)
        asked = (await act(house, incident, "reassign", by="max", to="night")).json()
        first = "lee" if "Lee" in asked["assigned_to"] else "dana"
        other = "dana" if first == "lee" else "lee"
        await house.pass_time(3 * 60)
        assert f"{other}-push" in told(house), "the turn ended a minute later"
        assert f"{first}-call" not in told(house)


async def test_calm_rules_count_for_what_is_calm_and_an_endpoint_is_paged_too(make_house: MakeHouse) -> None:
    async with running(make_house, *STEPS, people=(DANA, SLEEPER)) as house:
        incident = await opened(house)
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        await house.pass_time(4 * 60)
        assert told(house) == {"dana-push": 1, "lee-push": 1}, "severity 3 rings nobody out of bed"
        house.receiver.answers["/desk"] = receiver.status(410)
        await act(house, incident, "reassign", by="Dana Ito", to="desk")
        await house.settle()
        await house.pass_time(1)
        assert told(house)["lead"] == 1, "an endpoint that is gone hands nothing over"


async def test_a_subscriber_hears_of_a_hand_over_once(make_house: MakeHouse) -> None:
    async with running(make_house, *STEPS, people=(DANA, SLEEPER), **URGENT) as house:
        await house.endpoint("watcher", subscribed=True)
        incident = await opened(house)
        await act(house, incident, "reassign", by="Dana Ito", to="lee")
        await house.pass_time(3 * 60)
        assert house.receiver.types("/watcher") == ["incident.opened", "incident.updated"]


async def test_what_somebody_has_is_told_by_their_own_first_way_when_their_time_is_over(make_house: MakeHouse) -> None:
    rules = [{"method": "lee-call"}, {"after_minutes": 2, "method": "lee-push"}]
    lee = {**PLAIN, "notify": {"urgent": rules}}
    async with running(make_house, *STEPS, people=(DANA, lee), **URGENT) as house:
        incident = await opened(house)
        await act(house, incident, "acknowledge", by="lee", minutes=1)
        await house.pass_time(60)
        assert "expired" in said(house, "/lee-call")[-1]
        assert house.receiver.at("/lee-push") == []
