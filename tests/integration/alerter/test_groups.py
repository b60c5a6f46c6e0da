"""Rules that group: which stories join an incident instead of opening one, and what people hear of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from alerter.desk import groups
from alerter.desk.rehearsal import Rehearsal
from alerter.incidents.store import Origin
from services.config.model import Config
from services.contracts.base import AccountId, event_id
from services.contracts.signal import Level
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_holding import silenced
from tests.unit.alerter import make


def grouping(*by: str, minutes: float = 60) -> Config:
    """Two rules that group; their policy tells once, so that every further message is one about the incident itself."""
    more = {"group_by": list(by or ("account",)), "group_minutes": minutes, "policy": "default"}
    return make.config(
        rules=[{"id": "viral", "level": "likely", **more}, {"id": "severe", "complaint_severity": 3, **more}],
        policies=[{"id": "default", "steps": [{"endpoints": ["desk"]}]}],
    )


@asynccontextmanager
async def living(make_house: MakeHouse, config: Config) -> AsyncIterator[House]:
    house = make_house(config)
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        yield house


def story(name: str, number: int = 1, level: Level = Level.LIKELY, **more: Any) -> Any:
    root = make.card(name, **more.pop("card", {}))
    return make.forecast(number, level, story=f"bsky:{name}", root=root, **more)


def told(house: House) -> list[tuple[str, int]]:
    return [(one.type, one.body["data"]["severity"]) for one in house.receiver.at("/desk")]


async def lines(house: House, incident: str) -> list[tuple[str, str]]:
    found = (await house.http.get(f"/v1/incidents/{incident}/explain")).json()["timeline"]
    return [(line["kind"], line["because"]) for line in found]


async def test_another_story_of_the_group_joins_and_the_timeline_says_why(make_house: MakeHouse) -> None:
    async with living(make_house, grouping()) as house:
        await house.signal(story("p1"))
        await house.settle()
        await house.pass_time(12 * 60)
        await house.signal(story("p2"))
        await house.settle()
        (incident,) = await house.incidents()
        assert (incident["story"], incident["severity"], told(house)) == ("bsky:p1", 3, [("incident.opened", 3)])
        because = (
            "story bsky:p2 joins this incident instead of opening another: rule viral groups stories with the same values "
            "(account bsky:acme) for 60 minutes, and this incident opened 12 minutes ago"
        )
        assert await lines(house, incident["id"]) == [("opened", incident["reason"]), ("grouped", because)]
        published = [one.event for one in await house.on_log()]
        assert "bsky:p2 joins" in published[-1].because  # type: ignore[attr-defined]
        # From now on it is part of it: its own signals tell, when it crosses, and it all ends together.
        await house.signal(story("p2", 2, Level.CROSSED))
        await house.settle()
        (incident,) = await house.incidents()
        assert (incident["state"], incident["outlook"]["level"]) == ("active", "crossed")
        assert told(house)[1:] == [("incident.updated", incident["severity"])]


async def test_other_brands_accounts_and_rules_open_their_own(make_house: MakeHouse) -> None:
    async with living(make_house, grouping()) as house:
        await house.signal(
            story("p1"),
            story("p2", brand="other"),
            story("p3", card={"account": AccountId("bsky:acme_help")}),
            story("p4", card={"account": None}),
            make.negative("p5", 3, "bsky:p5"),
        )
        await house.settle()
        assert {one["story"] for one in await house.incidents()} == {f"bsky:p{n}" for n in range(1, 6)}
        # What has no account is together with what has none.
        await house.signal(story("p6", card={"account": None}))
        await house.settle()
        assert len(await house.incidents()) == 5


async def test_a_topic_gathers_what_is_spoken_of(make_house: MakeHouse) -> None:
    async with living(make_house, grouping("topic", "source")) as house:
        for name, text in (("p1", "it caught fire"), ("p2", "they were hacked"), ("p3", "smoke, then FIRE")):
            await house.signal(
                make.negative(name, 3, f"bsky:{name}").model_copy(update={"post": make.card(name, text=text)})
            )
            await house.settle()
        found = {one["story"]: one["id"] for one in await house.incidents()}
        assert set(found) == {"bsky:p1", "bsky:p2"}
        (_, because), = [line for line in await lines(house, found["bsky:p1"]) if line[0] == "grouped"]  # fmt: skip
        assert "bsky:p3 joins" in because
        assert "(source bsky, topic safety)" in because


async def test_after_its_minutes_an_incident_takes_in_nobody_and_the_new_one_does(make_house: MakeHouse) -> None:
    async with living(make_house, grouping(minutes=30)) as house:
        await house.signal(story("p1"))
        await house.settle()
        await house.pass_time(30 * 60)
        await house.signal(story("p2"))
        await house.settle()
        assert len(await house.incidents()) == 1, "to the minute"
        await house.pass_time(60)
        await house.signal(story("p3"))
        await house.settle()
        await house.pass_time(10 * 60)
        await house.signal(story("p4"))
        await house.settle()
        found = {one["story"]: one["id"] for one in await house.incidents()}
        assert set(found) == {"bsky:p1", "bsky:p3"}
        assert [kind for kind, _ in await lines(house, found["bsky:p3"])].count("grouped") == 1


async def test_what_has_ended_takes_in_nobody(make_house: MakeHouse) -> None:
    async with living(make_house, grouping()) as house:
        await house.signal(story("p1"))
        await house.settle()
        (incident,) = await house.incidents()
        answer = await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": "dana"})
        assert answer.status_code == 200
        await house.signal(story("p2"))
        await house.settle()
        await house.signal(story("p3"))
        await house.settle()
        assert [(one["story"], one["state"]) for one in await house.incidents()] == [
            ("bsky:p2", "prior"),
            ("bsky:p1", "resolved"),
        ]


async def test_a_worse_member_raises_the_incident_and_is_told_as_ever(make_house: MakeHouse) -> None:
    async with living(make_house, grouping()) as house:
        await house.signal(story("p1"))
        await house.settle()
        await house.pass_time(11 * 60)
        await house.signal(story("p2", level=Level.IMMINENT))
        await house.settle()
        (incident,) = await house.incidents()
        assert incident["severity"] == 2
        assert told(house) == [("incident.opened", 3), ("incident.updated", 2)]
        said = house.receiver.at("/desk")[-1].body["data"]["because"]
        assert said.startswith("it rose from SEV3 to SEV2")
        assert "story bsky:p2 joins" in said
        # Ten minutes between two messages, except for the worst.
        await house.signal(story("p3", level=Level.CROSSED))
        await house.settle()
        assert (await house.incidents())[0]["state"] == "active"
        await house.signal(story("p4", level=Level.IMMINENT, probability=0.95, mood=make.mood()))
        await house.settle()
        (incident,) = await house.incidents()
        assert (incident["severity"], told(house)[-1]) == (1, ("incident.updated", 1))


async def test_who_has_acknowledged_it_is_not_called_again_for_a_story_that_is_no_worse(make_house: MakeHouse) -> None:
    async with living(make_house, grouping()) as house:
        await house.signal(story("p1"))
        await house.settle()
        (incident,) = await house.incidents()
        await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json={"by": "dana"})
        await house.settle()
        before = told(house)
        await house.pass_time(11 * 60)
        await house.signal(story("p2", level=Level.IMMINENT))
        await house.settle()
        assert told(house) == before
        assert (await house.incidents())[0]["severity"] == 2
        worst: dict[str, Any] = {"level": Level.IMMINENT, "probability": 0.95, "mood": make.mood()}
        await house.signal(story("p3", **worst))
        await house.settle()
        assert told(house)[len(before) :] == [("incident.updated", 1)]
        assert len(await house.incidents()) == 1


async def test_a_complaint_noted_before_counts_for_the_incident_that_its_story_joins(make_house: MakeHouse) -> None:
    config = grouping()
    rules = tuple(rule for rule in config.rules if rule.id == "viral")
    async with living(make_house, config.model_copy(update={"rules": rules})) as house:
        await house.signal(make.negative("q2", 4, "bsky:p2"), story("p1"), story("p2"))
        await house.settle()
        (incident,) = await house.incidents()
        assert (incident["story"], incident["severity"]) == ("bsky:p1", 2)
        await house.signal(story("p2", 2))
        await house.settle()
        (incident,) = await house.incidents()
        assert incident["severity"] == 2, "and goes on counting"


async def test_two_signals_of_one_batch_find_each_other(make_house: MakeHouse) -> None:
    async with living(make_house, grouping()) as house:
        await house.signal(*(story(f"p{n}") for n in range(1, 9)))
        await house.settle()
        (incident,) = await house.incidents()
        assert [kind for kind, _ in await lines(house, incident["id"])] == ["opened", *["grouped"] * 7]
        assert told(house) == [("incident.opened", 3)]


async def test_a_signal_that_says_nothing_new_still_joins_and_its_next_ones_too(make_house: MakeHouse) -> None:
    async with living(make_house, grouping()) as house:
        await house.signal(*(make.negative(f"p{n}", 3, f"bsky:p{n}") for n in range(1, 40)))
        await house.settle()
        (incident,) = await house.incidents()
        kinds = [kind for kind, _ in await lines(house, incident["id"])]
        assert kinds.count("grouped") == 38
        await house.signal(make.negative("r1", 4, "bsky:p30"))
        await house.settle()
        (incident,) = await house.incidents()
        assert incident["severity"] == 2


async def test_what_is_silenced_hides_no_story_that_is_not_and_hears_of_none(make_house: MakeHouse) -> None:
    """A rule that does not group by account must not let the silence of one account cover another."""
    async with living(make_house, grouping("source")) as house:
        ours: dict[str, Any] = {"matchers": [{"field": "account", "values": ["bsky:acme"]}]}
        await silenced(house, 600, **ours)
        await house.signal(story("p1"), story("p2"))
        await house.settle()
        (held,) = await house.incidents()
        assert held["held"] is not None, "two silenced stories are one group"
        other = {"account": AccountId("bsky:acme_help")}
        await house.signal(story("p3", card=other), story("p4"), story("p5", card=other))
        await house.settle()
        found = {one["story"]: one for one in await house.incidents()}
        assert found["bsky:p3"]["held"] is None
        assert "bsky:p5" not in found
        assert found["bsky:p4"]["held"] is not None
        assert [one.body["data"]["story"] for one in house.receiver.at("/desk")] == ["bsky:p3"]


async def test_beyond_the_page_budget_a_group_is_one_incident_too(make_house: MakeHouse) -> None:
    brands = make.config(brands=[{"id": "acme", "name": "Acme", "pages_per_hour": 1}]).brands
    async with living(make_house, grouping().model_copy(update={"brands": brands})) as house:
        elsewhere = {"account": AccountId("bsky:acme_help")}
        await house.signal(story("p1"), *(story(f"q{n}", card=elsewhere) for n in range(5)))
        await house.settle()
        found = {one["story"]: one for one in await house.incidents()}
        assert set(found) == {"bsky:p1", "bsky:q0", "storm"}
        assert found["bsky:q0"]["held"]["name"] == found["storm"]["id"]
        # An hour later there is room, and the incident that took in four others is told.
        await house.pass_time(61 * 60)
        assert "bsky:q0" in {one.body["data"]["story"] for one in house.receiver.at("/desk")}


async def test_a_group_is_bounded(make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_MEMBERS", 3)
    async with living(make_house, grouping()) as house:
        await house.signal(*(story(f"p{n}") for n in range(1, 9)))
        await house.settle()
        assert [one["story"] for one in sorted(await house.incidents(), key=lambda one: one["story"])] == [
            "bsky:p1", "bsky:p4", "bsky:p7",
        ]  # fmt: skip


async def test_a_group_outlives_the_process(make_house: MakeHouse) -> None:
    house = make_house(grouping())
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.signal(story("p1"))
        await house.settle()
    async with house.running():
        await house.signal(story("p2"))
        await house.settle()
        assert len(await house.incidents()) == 1


async def test_a_surge_brings_its_stories_into_the_group_that_it_joins(make_house: MakeHouse) -> None:
    rules = [{"id": "surge", "surge_factor": 3, "policy": "default", "group_by": ["source"]}]
    config = grouping().model_copy(update={"rules": make.config(rules=rules).rules})
    async with living(make_house, config) as house:
        await house.signal(make.surge(networks={"bsky": 10}))
        await house.settle()
        later: dict[str, Any] = {"begins": make.NOW + timedelta(minutes=5), "networks": {"bsky": 10}}
        await house.signal(make.surge(minutes=5, stories=("bsky:p7",), **later))
        await house.signal(make.forecast(1, Level.CROSSED, story="bsky:p7"))
        await house.settle()
        (incident,) = await house.incidents()
        assert incident["outlook"]["level"] == "crossed"


def test_a_rehearsal_groups_too() -> None:
    def openings(config: Config) -> list[str]:
        rehearsal = Rehearsal(config)
        for number in range(5):
            at = make.NOW + timedelta(minutes=20 * number)
            rehearsal.play(story(f"p{number}"), Origin(event_id("test", number), 0, number), at)
        return [one.incident.story for one in rehearsal.report().incidents]

    alone = grouping()
    alone = alone.model_copy(update={"rules": tuple(rule.model_copy(update={"group_by": ()}) for rule in alone.rules)})
    assert openings(alone) == [f"bsky:p{n}" for n in range(5)]
    assert openings(grouping()) == ["bsky:p0", "bsky:p4"]
