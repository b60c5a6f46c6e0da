"""What X alone does: what its stream throws in, rules, money, how far back search reaches, single posts. And that the X of the
tests says what the official description says, where that is at hand."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingest.sources.base import Refused
from ingest.sources.building import build_source
from ingest.sources.purse import Purse
from ingest.sources.x.api import LOOK_FIELDS, SEARCH_FIELDS, STREAM_FIELDS
from ingest.sources.x.source import XSource
from services.base.clock import ManualClock
from services.contracts.post import PostKind
from services.contracts.source_status import Phase
from services.eventlog.sqlite import SqliteLog
from tests.contract.sources.life import NAME, NOW, Life, World
from tests.contract.sources.network import Deed, Fault
from tests.contract.sources.x import XNetwork

OFFICIAL = Path("/work/shared/data/payloads/x_api_v2/x-openapi.json")
DAY = 86_400.0


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[XNetwork]:
    made = XNetwork()
    await made.start(ManualClock(NOW))
    monkeypatch.setenv("FIREBREAK_SOURCE_EARS_TOKEN", made.secrets["TOKEN"])
    yield made
    await made.close()


@pytest.fixture
async def world(network: XNetwork, tmp_path: Path) -> AsyncIterator[World]:
    assert isinstance(network._clock, ManualClock)
    world = World(tmp_path, network, network._clock)
    world.configure({"name": NAME, **network.connector()})
    world.reader = SqliteLog(tmp_path / "log.db", 2, retention=False)
    await world.reader.start()
    yield world
    await world.reader.close()


async def in_phase(world: World, life: Life, phase: Phase) -> None:
    async def there() -> bool:
        return life.phase == phase.value

    await world.until(there)


async def stated(world: World, words: str) -> list[Any]:
    """Wait for gaps whose reason has these words, and return them."""

    async def there() -> list[Any]:
        return [gap for gap in await world.gaps() if words in (gap.reason or "")]

    return list(await world.until(there))


async def test_a_broken_line_costs_itself_and_is_stated(world: World, network: XNetwork) -> None:
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        network.send(b'{"data": {"id": ')
        network.send(b'{"data": {"text": "without an id"}}')
        network.send(
            b'{"errors": [{"title": "Not Found Error", "type": "x"}], "data": {"id": "5", "text": "Acme Air"}}'
        )
        post = await network.write("Acme Air is late")
        await world.heard("5", post)
        (gap,) = await stated(world, "could not be read")
    assert gap.missed in {1, 2}


async def test_an_end_that_x_announces_opens_the_stream_anew_and_loses_nothing(world: World, network: XNetwork) -> None:
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        network.send(
            json.dumps({"errors": [{"title": "operational-disconnect", "detail": "for operational reasons"}]}).encode()
        )
        await stated(world, "for operational reasons")
        post = await network.write("Acme Air is late")
        await world.heard(post)


async def test_a_stream_that_lives_and_brings_nothing_is_found_out(world: World, network: XNetwork) -> None:
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        await world.heard(await network.write("Acme Air is late"))
        network.silent = True
        quiet = await network.write("Acme Air is later")
        network.silent = False
        await world.heard(quiet)
        await stated(world, "brings nothing")
    assert Counter(await world.posts())[quiet] == 1


async def test_a_shared_post_that_nobody_heard_is_told_with_its_repost(world: World, network: XNetwork) -> None:
    shared = await network.write("Acme Air lost my bag")
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        repost = await network.write("Acme Air lost my bag", Deed.REPOST, shared)
        await world.heard(shared, repost)
    assert await world.posts(PostKind.REPOST) == [repost]


async def test_an_edit_is_stored_as_one_of_the_first_version(world: World, network: XNetwork) -> None:
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        first = await network.write("Acme Air is late")
        await world.heard(first)
        later = network.new_id()
        network.say(
            {**network.posts[-1], "id": later, "text": "Acme Air is on time", "edit_history_tweet_ids": [first, later]}
        )

        async def edited() -> bool:
            return bool(await world.posts(PostKind.EDIT))

        await world.until(edited)
    assert await world.posts(PostKind.ORIGINAL) == [first]


async def test_what_lies_further_back_than_a_week_is_stated(world: World, network: XNetwork) -> None:
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        await world.heard(await network.write("Acme Air is late"))
    lost = await network.write("Acme Air is later")
    world.clock.advance(8 * DAY)
    found = await network.write("Acme Air is latest")
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        await world.heard(found)
        assert await world.gaps()
    assert lost not in await world.posts()


async def test_rules_are_made_once_and_those_of_others_are_left_alone(world: World, network: XNetwork) -> None:
    network.rules = [
        {"id": "1", "value": "cats", "tag": "of somebody else"},
        {"id": "2", "value": "(old)", "tag": f"firebreak:{NAME}:acme:1"},
    ]
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
    assert {rule["value"] for rule in network.rules} == {"cats", '("Acme Air" OR @acmeair OR from:acmeair)'}
    changes = [asked for method, _, asked in network.asked if method == "POST"]
    assert [change.get("dry_run") for change in changes] == ["true", None, None], "tried, added, the old one deleted"
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
    assert len([1 for method, _, _ in network.asked if method == "POST"]) == 3, "what stands there is left"


async def test_a_rule_that_x_does_not_take_is_told_with_its_reason_and_nothing_is_changed(
    world: World, network: XNetwork
) -> None:
    network.bad_rules = {"(url:)": "url: needs a value (at position 2)"}
    world.configure({"name": NAME, **network.connector(), "rules": ["url:"]})
    async with world.life() as life:
        await in_phase(world, life, Phase.REFUSED)
        (gap, *_) = await stated(world, "(url:)")
    assert "url: needs a value (at position 2)" in gap.reason
    assert network.rules == []


async def test_near_the_end_of_a_budget_rules_are_sampled_and_the_time_is_stated(
    world: World, network: XNetwork
) -> None:
    world.configure({"name": NAME, **network.connector(), "spending": {"day_dollars": 0.6}})
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        posts = [await network.write(f"Acme Air is late, {n}") for n in range(60)]
        await world.heard(*posts)

        async def sampled() -> bool:
            (first, *others) = network.rules
            return "sample:" in first["value"] and not others

        await world.until(sampled)  # and the whole rule is gone
        gaps = await stated(world, "sampled: ")
        assert all(gap.ends is not None for gap in gaps)


async def test_with_the_last_dollar_the_stream_is_closed_and_it_is_said_until_the_next_day(
    world: World, network: XNetwork
) -> None:
    world.configure({"name": NAME, **network.connector(), "spending": {"day_dollars": 0.2}})
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        for number in range(40):
            await network.write(f"Acme Air is late, {number}")
        await stated(world, "the budget of the day (0.2 dollars) is spent")
        unheard = await network.write("Acme Air is later")
        status = await world.status()
        assert status is not None
        assert status.phase is Phase.LISTENING
        world.clock.advance(DAY)

        async def ended() -> bool:
            return not await world.open_gaps()

        await world.until(ended)
        after = await network.write("Acme Air is latest")
        await world.heard(after)
    assert unheard not in await world.posts(), "a new budget is not spent on yesterday"


async def test_single_posts_are_looked_at_for_totals_edits_and_deletions(world: World, network: XNetwork) -> None:
    counted, edited = await network.write("Acme Air is late"), await network.write("Acme Air is on time")
    later = network.new_id()
    network.posts[-1]["edit_history_tweet_ids"] = [edited, later]
    network.posts.append({**network.posts[-1], "id": later, "text": "Acme Air is late after all"})
    async with world.life() as life:
        looked = await built(world, life).look([counted, edited, "4711", "no-number"])
    kinds = [(item["post_id"], item["kind"]) for item in looked.items]
    assert kinds == [(counted, "counters"), (edited, "edit"), (edited, "counters"), ("4711", "deletion")]
    assert looked.unanswered == ("no-number",)


async def test_a_look_that_cannot_be_paid_is_not_made(world: World, network: XNetwork) -> None:
    post = await network.write("Acme Air is late")
    world.configure({"name": NAME, **network.connector(), "spending": {"day_dollars": 0.001}})
    async with world.life() as life:
        looked = await built(world, life).look([post])
    assert looked.unanswered == (post,)
    assert "/2/tweets" not in {path for _, path, _ in network.asked}


def built(world: World, life: Life) -> XSource:
    """A connector of its own, as the process would build it."""
    runner = life.service._sources
    one = runner.wanted[NAME]
    found = build_source(one, runner.wanted, world.clock, runner.http, Purse(one.section.spending, world.clock))
    assert isinstance(found, XSource)
    return found


async def test_without_a_token_people_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIREBREAK_SOURCE_EARS_TOKEN")
    async with world.life() as life:
        with pytest.raises(Refused, match="bearer token"):
            await built(world, life).probe()


class Official:
    """The part of a JSON Schema validator that the official description needs: types, required, properties, items, patterns."""

    def __init__(self) -> None:
        self._whole = json.loads(OFFICIAL.read_text(encoding="utf-8"))

    def answer(self, method: str, path: str, body: Any) -> list[str]:
        """What is wrong with an answer."""
        responses = self._whole["paths"][path][method.lower()]["responses"]
        (content,) = (one for status, one in responses.items() if status.startswith("2"))
        return self._wrong(content["content"]["application/json"]["schema"], body, path)

    def request(self, method: str, path: str, body: Any) -> list[str]:
        operation = self._whole["paths"][path][method.lower()]
        return self._wrong(operation["requestBody"]["content"]["application/json"]["schema"], body, path)

    def parameters(self, path: str, asked: dict[str, str]) -> list[str]:
        """What of the parameters of a question is not known there."""
        known = {}
        for one in self._whole["paths"][path]["get"]["parameters"]:
            found = self._resolved(one)
            known[found["name"]] = found.get("schema", {}).get("items", {}).get("enum")
        wrong = [name for name in asked if name not in known]
        for name, value in asked.items():
            allowed = known.get(name)
            wrong += [f"{name}={part}" for part in value.split(",") if allowed is not None and part not in allowed]
        return wrong

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            found: Any = self._whole
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema

    def _wrong(self, schema: dict[str, Any], value: Any, where: str) -> list[str]:
        schema = self._resolved(schema)
        if "oneOf" in schema:
            tried = [self._wrong(one, value, where) for one in schema["oneOf"]]
            return [] if [] in tried else min(tried, key=len)
        types: dict[str, Any] = {
            "object": dict,
            "array": list,
            "string": str,
            "integer": int,
            "boolean": bool,
            "number": (int, float),
        }
        if "type" in schema and not isinstance(value, types[schema["type"]]):
            return [f"{where} is no {schema['type']}"]
        if isinstance(value, dict):
            wrong = [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
            properties = schema.get("properties", {})
            if schema.get("additionalProperties") is False:
                wrong += [f"{where}.{name} is unknown" for name in value if name not in properties]
            return wrong + [
                one
                for name, part in value.items()
                if name in properties
                for one in self._wrong(properties[name], part, f"{where}.{name}")
            ]
        if isinstance(value, list):
            return [one for part in value for one in self._wrong(schema.get("items", {}), part, f"{where}[]")]
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return [f"{where} does not match {schema['pattern']}"]
        return [f"{where} is none of {schema['enum']}"] if "enum" in schema and value not in schema["enum"] else []


@pytest.mark.skipif(
    not OFFICIAL.exists(), reason="the official description of X's API is not at hand: nothing was compared"
)
async def test_questions_and_answers_are_those_of_the_official_description(world: World, network: XNetwork) -> None:
    official = Official()
    async with world.life() as life:
        await in_phase(world, life, Phase.LISTENING)
        post = await network.write("Acme Air is late")
        await world.heard(post)
        await network.play(Fault.CUT)
        again = await network.write("Acme Air is later")
        await world.heard(again)
        await built(world, life).look([post, "4711"])
    wrong = [one for method, path, body in network.answered for one in official.answer(method, path, body)]
    for method, path, asked in network.asked:
        if method == "POST":
            wrong += official.request(method, path, asked["body"])
        else:
            wrong += official.parameters(path, asked)
    assert sorted(set(wrong)) == []
    assert {path for _, path, _ in network.answered} == {
        "/2/tweets/search/stream/rules", "/2/tweets/search/recent", "/2/tweets",
    }  # fmt: skip
    assert official.parameters("/2/tweets", {"tweet.nonsense": "a"}), "it can tell what is wrong"
    for path, fields in (
        ("/2/tweets/search/stream", STREAM_FIELDS),
        ("/2/tweets/search/recent", SEARCH_FIELDS),
        ("/2/tweets", LOOK_FIELDS),
    ):
        assert official.parameters(path, dict(fields)) == []
