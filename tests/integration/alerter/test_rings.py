"""A person who was paged and sleeps is told again, by their own rules, until somebody takes it: no more and no later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from alerter.cli.explain import lines_of
from alerter.notify import endpoints
from alerter.notify.endpoints import Draft
from alerter.notify.outlet import Kind
from services.base.clock import ManualClock
from services.config.model import Config
from services.contracts.signal import Level
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

METHODS = ("dana-push", "dana-sms", "dana-call", "lee-push", "lee-call", "lead", "desk")
RULES = [
    {"method": "dana-push"},
    {"after_minutes": 3, "method": "dana-sms"},
    {"after_minutes": 6, "method": "dana-call"},
]
DANA: dict[str, Any] = {
    "id": "dana",
    "name": "Dana Ito",
    "methods": ["dana-push", "dana-sms", "dana-call"],
    "notify": {"urgent": RULES, "calm": RULES},
}
LEE: dict[str, Any] = {
    "id": "lee",
    "methods": ["lee-push", "lee-call"],
    "notify": {"urgent": [{"method": "lee-push"}, {"after_minutes": 2, "method": "lee-call"}]},
}
LAYER = {"id": "base", "rotation": "daily", "begins": "2026-02-28T09:04", "responders": ["dana", "lee"]}
NIGHT = {"id": "night", "zone": "UTC", "layers": [LAYER]}
"""Four minutes after nine the turn goes from Dana to Lee."""


def config(*steps: Mapping[str, Any], people: Sequence[Any] = (DANA, LEE), **more: Any) -> Config:
    policy = {
        "id": "default",
        "steps": steps or [{"targets": ["responder:dana"]}],
        "insist_minutes": "never",
        **more.pop("policy", {}),
    }
    return make.config(policies=[policy], responders=people, **{"schedules": [NIGHT]} | more)


@asynccontextmanager
async def running(make_house: MakeHouse, *steps: Mapping[str, Any], **more: Any) -> AsyncIterator[House]:
    house = make_house(config(*steps, **more))
    await house.receiver.start()
    async with house.running():
        for name in METHODS:
            await house.endpoint(name)
        yield house


async def opened(house: House, **more: Any) -> str:
    await house.signal(make.forecast(crossing=None, **more))
    await house.settle()
    (incident,) = await house.incidents()
    return str(incident["id"])


def told(house: House) -> dict[str, int]:
    """How many pages each method got; news of what people did is none."""
    pages = ("incident.opened", "incident.escalated")
    counts = {name: sum(kind in pages for kind in house.receiver.types(f"/{name}")) for name in METHODS}
    return {name: count for name, count in counts.items() if count}


async def explained(house: House, incident: str) -> Any:
    return (await house.http.get(f"/v1/incidents/{incident}/explain")).json()


async def act(house: House, incident: str, what: str, **body: Any) -> httpx2.Response:
    answer = await house.http.post(f"/v1/incidents/{incident}/{what}", json={"by": "lee", **body})
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_person_who_sleeps_is_rung_by_their_own_rules_once_each(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await opened(house)
        assert told(house) == {"dana-push": 1}
        await house.pass_time(179, step=60)
        assert told(house) == {"dana-push": 1}
        await house.pass_time(1)
        assert told(house) == {"dana-push": 1, "dana-sms": 1}
        said = house.receiver.at("/dana-sms")[0].body["data"]["because"]
        assert "nobody has acknowledged it 3 minutes after Dana Ito was paged" in said
        await house.pass_time(180)
        assert told(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1}
        await house.pass_time(3600)
        assert told(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1}


@pytest.mark.parametrize("what", ["acknowledge", "resolve", "reassign", "snooze", "silence"])
async def test_what_stops_a_policy_stops_the_rings_at_once(make_house: MakeHouse, what: str) -> None:
    async with running(make_house, policy={"acknowledgement_minutes": 600}) as house:
        incident = await opened(house)
        await house.pass_time(180)
        if what == "silence":
            until = (NOW + timedelta(hours=9)).isoformat()
            body = {"matchers": [{"field": "brand", "values": ["acme"]}], "ends_at": until, "by": "lee"}
            assert (await house.http.post("/v1/silences", json=body)).status_code == 201
        else:
            bodies: dict[str, dict[str, Any]] = {"reassign": {"to": "lee"}, "snooze": {"minutes": 600}}
            more = bodies.get(what, {})
            await act(house, incident, what, **more)
        assert what == "silence" or (await explained(house, incident))["rings"] == []
        await house.pass_time(240)
        asked = {"lee-push": 1} if what == "reassign" else {}
        assert told(house) == {"dana-push": 1, "dana-sms": 1} | asked


async def test_a_responder_without_rules_is_paged_as_before(make_house: MakeHouse) -> None:
    plain = {"id": "dana", "methods": ["dana-push", "dana-sms"]}
    async with running(make_house, people=[plain]) as house:
        incident = await opened(house)
        await house.pass_time(3600)
        assert told(house) == {"dana-push": 1}
        assert (await explained(house, incident))["rings"] == []


@pytest.mark.parametrize(("urgent_severity", "count"), [(1, 1), (4, 2)])
async def test_the_severity_decides_which_rules_count(make_house: MakeHouse, urgent_severity: int, count: int) -> None:
    async with running(
        make_house, {"targets": ["responder:lee"]}, people=[LEE], urgent_severity=urgent_severity
    ) as house:
        await opened(house)
        await house.pass_time(600)
        assert sum(told(house).values()) == count


async def test_two_methods_at_once_are_both_used_and_one_that_fails_is_no_lost_page(make_house: MakeHouse) -> None:
    both = [{"method": "dana-push"}, {"method": "dana-sms"}]
    steps = {"targets": ["responder:dana"]}, {"after_minutes": 30, "targets": ["lead"]}
    async with running(make_house, *steps, people=[{**DANA, "notify": {"urgent": both, "calm": both}}]) as house:
        house.receiver.answers["/dana-sms"] = receiver.status(410)
        await opened(house)
        await house.pass_time(600)
        assert told(house) == {"dana-push": 1, "dana-sms": 1}


async def test_where_all_that_came_at_once_fails_somebody_else_is_told(make_house: MakeHouse) -> None:
    both = [{"method": "dana-push"}, {"method": "dana-sms"}]
    steps = {"targets": ["responder:dana"]}, {"after_minutes": 30, "targets": ["lead"]}
    async with running(make_house, *steps, people=[{**DANA, "notify": {"urgent": both, "calm": both}}]) as house:
        for name in ("dana-push", "dana-sms", "dana-call"):
            house.receiver.answers[f"/{name}"] = receiver.status(410)
        await opened(house)
        await house.pass_time(60)
        assert told(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1, "lead": 1}, (
            "and the method without a rule"
        )


async def test_a_page_that_fails_brings_the_next_ring_and_not_a_second_message(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        house.receiver.answers["/dana-push"] = receiver.status(410)
        incident = await opened(house)
        assert told(house) == {"dana-push": 1, "dana-sms": 1}
        because = [line["because"] for line in (await explained(house, incident))["timeline"]]
        assert any("did not get through" in line and "dana-sms comes at once" in line for line in because)
        await house.pass_time(600)
        assert told(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1}


async def test_a_method_that_is_gone_passes_its_turn_on(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await opened(house)
        assert (await house.http.delete("/v1/endpoints/dana-sms?even_if_named=true")).status_code == 204
        await house.pass_time(180)
        assert told(house) == {"dana-push": 1, "dana-call": 1}


async def test_a_person_whose_first_method_is_gone_is_told_by_the_next_at_once(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        assert (await house.http.delete("/v1/endpoints/dana-push?even_if_named=true")).status_code == 204
        await opened(house)
        assert told(house) == {"dana-sms": 1}
        await house.pass_time(360)
        assert told(house) == {"dana-sms": 1, "dana-call": 1}


async def test_a_further_step_or_round_never_puts_the_call_off(make_house: MakeHouse) -> None:
    policy = {"repeat": 3, "repeat_after_minutes": 4}
    async with running(make_house, policy=policy) as house:
        await opened(house)
        await house.pass_time(6 * 60)
        assert told(house) == {"dana-push": 2, "dana-sms": 1, "dana-call": 1}


async def test_one_person_behind_two_targets_is_rung_once(make_house: MakeHouse) -> None:
    async with running(make_house, {"targets": ["responder:dana", "schedule:night"]}) as house:
        await opened(house)
        await house.pass_time(180)
        assert told(house)["dana-sms"] == 1


@pytest.mark.parametrize("lost", ["schedule:night", "responder:dana"])
async def test_a_page_by_either_target_brings_the_ring_of_the_person_behind_both(
    make_house: MakeHouse, lost: str
) -> None:
    targets = ["responder:dana", "schedule:night"] if lost == "schedule:night" else ["schedule:night", "responder:dana"]
    steps = {"targets": targets[:1]}, {"after_minutes": 1, "targets": targets[1:]}
    async with running(make_house, *steps, policy={"fallback": ["lead"]}) as house:
        await opened(house)
        house.receiver.answers["/dana-push"] = receiver.status(410)
        await house.pass_time(60)
        assert told(house) == {"dana-push": 2, "dana-sms": 1}, "her next message, and not the fallback"


async def test_one_lost_message_behind_two_targets_brings_one_ring(make_house: MakeHouse) -> None:
    async with running(make_house, {"targets": ["responder:dana", "schedule:night"]}) as house:
        house.receiver.answers["/dana-push"] = receiver.status(410)
        await opened(house)
        await house.pass_time(120)
        assert told(house) == {"dana-push": 1, "dana-sms": 1}


async def test_when_the_turn_is_over_whoever_has_it_now_is_told_instead(make_house: MakeHouse) -> None:
    async with running(make_house, {"targets": ["schedule:night"]}, urgent_severity=4) as house:
        incident = await opened(house)
        await house.pass_time(180)
        assert told(house) == {"dana-push": 1, "dana-sms": 1}
        await house.pass_time(180)
        assert told(house) == {"dana-push": 1, "dana-sms": 1, "lee-push": 1}
        said = house.receiver.at("/lee-push")[0].body["data"]["because"]
        assert "the turn of Dana Ito (on call for night) is over" in said
        (ring,) = (await explained(house, incident))["rings"]
        assert (ring["who"], ring["method"]) == ("lee (on call for night)", "lee-call")
        await house.pass_time(3600)
        assert told(house) == {"dana-push": 1, "dana-sms": 1, "lee-push": 1, "lee-call": 1}


async def test_whoever_has_the_turn_now_is_not_told_twice(make_house: MakeHouse) -> None:
    steps = {"targets": ["schedule:night"]}, {"after_minutes": 1, "targets": ["responder:lee"]}
    async with running(make_house, *steps) as house:
        await opened(house)
        await house.pass_time(3600)
        assert told(house) == {"dana-push": 1, "dana-sms": 1, "lee-push": 1}


async def test_an_endpoint_that_both_share_does_not_stand_for_whoever_has_the_turn_now(make_house: MakeHouse) -> None:
    def person(name: str) -> dict[str, Any]:
        rules = [{"method": "desk"}, {"after_minutes": 5, "method": f"{name}-call"}]
        return {"id": name, "methods": ["desk", f"{name}-call"], "notify": {"urgent": rules, "calm": rules}}

    people = [person("dana"), person("lee")]
    async with running(make_house, {"targets": ["schedule:night"]}, people=people) as house:
        await opened(house)
        await house.pass_time(3600)
        assert told(house) == {"desk": 2, "lee-call": 1}


async def test_a_page_of_an_earlier_step_that_comes_late_leaves_a_used_up_policy_used_up(make_house: MakeHouse) -> None:
    steps = {"targets": ["responder:dana"]}, {"after_minutes": 1, "targets": ["responder:lee"]}
    async with running(make_house, *steps, policy={"insist_minutes": 60}) as house:
        incident = await opened(house)
        await house.pass_time(10 * 60)  # Dana was rung after the last step
        assert told(house)["dana-call"] == 1
        await house.signal(make.forecast(2, Level.CROSSED, probability=0.99, crossing=None))
        await house.settle()
        timeline = (await house.http.get(f"/v1/incidents/{incident}/explain")).json()["timeline"]
        assert "insisted" in {line["kind"] for line in timeline}


async def test_a_person_who_has_left_is_rung_no_more_and_the_policy_goes_on(make_house: MakeHouse) -> None:
    steps = {"targets": ["responder:dana"]}, {"after_minutes": 60, "targets": ["lead"]}
    async with running(make_house, *steps) as house:
        await opened(house)
        await house.reconfigure(config({"targets": ["lead"]}, people=[LEE], schedules=[]))
        await house.pass_time(180)
        assert told(house) == {"dana-push": 1, "lead": 1}


async def test_a_ring_is_news_to_nobody_else(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.endpoint("watcher", subscribed=True)
        await opened(house)
        await house.pass_time(3600)
        assert house.receiver.types("/watcher") == ["incident.opened"]


async def test_what_only_rings_hears_no_news_and_what_keeps_state_does(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.alerter.database.write(
            lambda c: endpoints.add(c, Draft("phone", "twilio://a:b@1/2", kind=Kind.APPRISE), NOW)
        )
        lasting = await house.alerter.database.read(lambda c: endpoints.lasting(c, ("phone", "desk", "unknown")))
        assert lasting == {"desk"}


async def test_what_comes_next_is_said_everywhere(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        incident = await opened(house)
        found = await explained(house, incident)
        assert [(ring["who"], ring["method"], ring["due_at"]) for ring in found["rings"]] == [
            ("Dana Ito", "dana-sms", "2026-03-01T09:03:00Z"),
            ("Dana Ito", "dana-call", "2026-03-01T09:06:00Z"),
        ]
        (line,) = [line["because"] for line in found["timeline"] if line["kind"] == "told"]
        assert line == "step 1 told Dana Ito by dana-push, then by dana-sms after 3 min, then by dana-call after 6 min"
        assert [one.why for one in lines_of(found) if one.what == "next"] == [
            "rings Dana Ito by dana-sms",
            "rings Dana Ito by dana-call",
        ]


async def test_a_clock_that_was_set_back_delays_no_ring(make_house: MakeHouse) -> None:
    house = make_house(config())
    await house.receiver.start()
    async with house.running():
        for name in METHODS:
            await house.endpoint(name)
        await opened(house)
        await house.pass_time(120)
    house.clock = ManualClock(house.clock.now() - timedelta(hours=5))
    async with house.running():
        await house.pass_time(60)
        assert told(house) == {"dana-push": 1, "dana-sms": 1}


@pytest.mark.parametrize("calm", [[], [{"method": "dana-push"}, {"after_minutes": 600, "method": "dana-sms"}]])
async def test_an_incident_that_becomes_urgent_rings_by_the_urgent_rules(
    make_house: MakeHouse, calm: list[Any]
) -> None:
    steps = {"targets": ["responder:dana"]}, {"after_minutes": 300, "targets": ["responder:dana"]}
    dana = {**DANA, "notify": {"urgent": RULES, "calm": calm}}
    async with running(make_house, *steps, people=[dana], urgent_severity=1) as house:
        incident = await opened(house)
        assert [ring["method"] for ring in (await explained(house, incident))["rings"]] == ["dana-sms"] * bool(calm)
        await house.signal(make.forecast(2, Level.IMMINENT, probability=0.95, mood=make.mood(), crossing=None))
        await house.settle()
        assert house.receiver.types("/dana-push") == ["incident.opened", "incident.updated"], "it is told of it, once"
        assert [ring["method"] for ring in (await explained(house, incident))["rings"]] == ["dana-sms", "dana-call"]
        await house.pass_time(600)
        assert told(house) == {"dana-push": 1, "dana-sms": 1, "dana-call": 1}


async def test_a_calm_method_that_hears_of_the_rise_does_not_stand_for_the_urgent_ones(make_house: MakeHouse) -> None:
    dana = {**DANA, "notify": {"urgent": RULES, "calm": [{"method": "dana-call"}]}}
    async with running(make_house, people=[dana], urgent_severity=1) as house:
        await opened(house)
        assert told(house) == {"dana-call": 1}
        await house.signal(make.forecast(2, Level.IMMINENT, probability=0.95, mood=make.mood(), crossing=None))
        await house.settle()
        assert told(house) == {"dana-call": 1, "dana-push": 1}
        assert "it has become urgent" in house.receiver.at("/dana-push")[0].body["data"]["because"]


async def test_an_incident_that_somebody_has_rings_nobody_when_it_becomes_urgent(make_house: MakeHouse) -> None:
    async with running(make_house, urgent_severity=1, policy={"acknowledgement_minutes": 600}) as house:
        incident = await opened(house)
        await act(house, incident, "acknowledge")
        await house.signal(make.forecast(2, Level.IMMINENT, probability=0.95, mood=make.mood(), crossing=None))
        await house.settle()
        await house.pass_time(600)
        assert told(house) == {"dana-push": 1}
