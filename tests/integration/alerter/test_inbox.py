"""The inbox of answers: what people say of complaints that wait, and the page on which thirty of them fit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from alerter.console.answers import filter_of
from alerter.timekeeper import retention
from services.contracts.post import SourcePolicy
from services.contracts.signal import PostNegative
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_console_rota import words
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make

BRAND = {"id": "acme", "name": "Acme", "line": {"engagements": 500}, "promise": {"minutes": 60}}
OTHER = {"id": "other", "name": "Other", "line": {"engagements": 500}}
BY = {"by": "dana"}


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    account = {"network": "bsky", "handle": "acme", "owner": "dana"}
    people = [{"id": "dana", "methods": ["dana-push"], "digest": "dana-mail"}]
    brands = [{**BRAND, "accounts": [account]}, OTHER]
    made = make_house(make.config(brands=brands, responders=people, rules=[]), public_url=None)
    await made.receiver.start()
    async with made.running():
        await made.endpoint("dana-push")
        await made.endpoint("dana-mail")
        yield made


def complaint(
    post: str, story: str | None = None, minutes: float = 0, brand: str = "acme", **card: Any
) -> PostNegative:
    told = make.negative(post, severity=1, story=story or f"bsky:{post}", brand=brand)
    at = make.NOW + timedelta(minutes=minutes)
    return told.model_copy(
        update={"post": make.card(post, at=at, **{"text": f"words of {post}", "author": "@mia"} | card)}
    )


async def clocks(house: House, **params: str) -> dict[str, Any]:
    answer = await house.http.get("/v1/answer-clocks", params={"limit": "200", **params})
    assert answer.status_code == 200, answer.text
    return {item["post_id"]: item for item in answer.json()["items"]}


async def do(house: House, what: str, *posts: str, **more: Any) -> Any:
    ids = [one["id"] for name, one in (await clocks(house)).items() if name in posts]
    answer = await house.http.post(f"/v1/answer-clocks/{what}", json={**BY, "ids": ids, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_was_answered_by_phone_waits_no_longer_and_nobody_is_told_of_it(house: House) -> None:
    await house.signal(complaint("p1"), complaint("p2"))
    await house.settle()
    house.clock.advance(600)
    done = await do(house, "answer", "p1", how="phone", comment="called her")
    clock = (await clocks(house))["p1"]
    assert done == {"done": [clock["id"]], "not_done": []}
    assert [clock[name] for name in ("state", "settled_by", "settled_as")] == ["answered", "dana", "phone"]
    await house.pass_time(2 * 3600, step=600)
    (got,) = house.receiver.got
    assert [item["post_id"] for item in got.body["data"]["items"]] == ["p2"]
    (treatment,) = (await house.http.get("/v1/answer-times")).json()["items"]
    assert (treatment["asked"], treatment["answered"], treatment["median_seconds"]) == (2, 1, 600)
    (change,) = [one for one in (await house.http.get("/v1/audit")).json()["items"] if one["what"] == "answer.answered"]
    assert change["detail"] == {"by": "dana", "comment": "called her", "how": "phone"}
    sample = house.registry.get_sample_value
    assert sample("firebreak_answers_settled_total", {"action": "answered", "reason": "phone"}) == 1


async def test_what_is_no_complaint_counts_no_longer_and_teaches(house: House) -> None:
    await house.signal(complaint("p1"), complaint("p2"))
    await house.settle()
    await do(house, "dismiss", "p1", why="no_complaint")
    taught = await clocks(house, state="dismissed")
    assert {post: (one["settled_as"], one["complaint"]) for post, one in taught.items()} == {
        "p1": ("no_complaint", 0.8)
    }
    (treatment,) = (await house.http.get("/v1/answer-times")).json()["items"]
    assert treatment["asked"] == 1


async def test_what_cannot_be_done_to_one_is_said_of_that_one_and_done_to_the_others(house: House) -> None:
    await house.signal(complaint("p1"), complaint("p2"), complaint("gone"), complaint("theirs", brand="other"))
    await house.settle()
    await house.signal(
        make.answered("bsky:p2").model_copy(update={"post_id": "p2"}), make.redacted("gone", "bsky:gone")
    )
    await house.settle()
    known = {post: one["id"] for post, one in (await clocks(house)).items()}
    centre = await make_key(house, "centre", "respond", "acme")
    ids = [known["p1"], known["p2"], known["theirs"], known["gone"], "0" * 32, known["p1"]]
    answer = await house.http.post("/v1/answer-clocks/answer", json={**BY, "ids": ids, "how": "mail"}, headers=centre)
    assert answer.json() == {
        "done": [known["p1"]],
        "not_done": [
            {"id": known["p2"], "why": "it is answered"},
            {"id": known["theirs"], "why": "there is none with this id"},
            {"id": known["gone"], "why": "it was deleted"},
            {"id": "0" * 32, "why": "there is none with this id"},
        ],
    }
    assert (await clocks(house))["theirs"]["state"] == "running"


@pytest.mark.parametrize("wrong", [{"how": "telegraph"}, {"how": "phone", "ids": []}, {"how": "phone", "ids": ["x"]}])
async def test_a_deed_that_makes_no_sense_is_refused(house: House, wrong: dict[str, Any]) -> None:
    answer = await house.http.post("/v1/answer-clocks/answer", json={**BY, "ids": ["0" * 32], **wrong})
    assert answer.status_code == 422


async def test_what_is_put_off_is_out_of_the_inbox_for_so_long_and_still_due(house: House) -> None:
    await house.signal(complaint("p1"), complaint("p2"))
    await house.settle()
    due = (await clocks(house))["p1"]["due_at"]
    await do(house, "snooze", "p1", minutes=30)
    async with sign_in(house) as client:
        page = words((await client.get("/console/answers")).text)
        assert "1 more waiting, 1 put off" in page
        assert "words of p2" in page
        assert "words of p1" not in page
        assert "words of p1" in words((await client.get("/console/answers?snoozed=1")).text)
        house.clock.advance(1801)
        assert "words of p1" in words((await client.get("/console/answers")).text)
    assert (await clocks(house))["p1"]["due_at"] == due


async def test_only_what_a_person_settled_can_be_taken_back_and_its_owner_is_told_when_it_is_due(house: House) -> None:
    await house.signal(complaint("p1"), complaint("p2"))
    await house.settle()
    await do(house, "dismiss", "p1", why="spam")
    await house.signal(make.answered("bsky:p2").model_copy(update={"post_id": "p2"}))
    await house.settle()
    back = await do(house, "reopen", "p1", "p2")
    assert [one["why"] for one in back["not_done"]] == ["it was answered on its network"]
    clock = (await clocks(house))["p1"]
    assert (clock["state"], clock["settled_by"], clock["text"]) == ("running", None, "words of p1")
    assert (await do(house, "reopen", "p1"))["not_done"][0]["why"] == "it waits already"
    await house.pass_time(2 * 3600, step=600)
    (got,) = house.receiver.got
    assert [item["post_id"] for item in got.body["data"]["items"]] == ["p1"]


async def test_the_words_of_what_is_settled_are_forgotten_at_once_on_its_network_and_after_a_day_by_hand(
    house: House,
) -> None:
    await house.signal(complaint("network"), complaint("hand"), complaint("waits"))
    await house.settle()
    await house.signal(make.answered("bsky:network").model_copy(update={"post_id": "network"}))
    await do(house, "answer", "hand", how="in_person")
    await house.settle()
    kept = {post: (one["text"], one["handle"]) for post, one in (await clocks(house)).items()}
    assert kept["network"] == (None, None)
    assert kept["hand"] == ("words of hand", "@mia")
    later = house.clock.now() + timedelta(days=1, seconds=1)
    await house.alerter.database.write(lambda c: retention.forget(c, later, later))
    kept = {post: (one["text"], one["handle"]) for post, one in (await clocks(house)).items()}
    assert kept["hand"] == (None, None)
    assert kept["waits"] == ("words of waits", "@mia")


async def test_a_pile_on_is_one_row_and_hides_nobody_else(house: House) -> None:
    await house.signal(complaint("root", story="bsky:root"))
    await house.signal(*(complaint(f"r{n}", story="bsky:root", minutes=1) for n in range(9)))
    await house.signal(complaint("small", minutes=2, followers=20))
    await house.settle()
    async with sign_in(house) as client:
        page = words((await client.get("/console/answers")).text)
    assert "9 more in this story" in page
    assert "and 4 that are due later" in page
    assert "words of small" in page
    assert page.index("words of root") < page.index("words of small"), "what is due first is at the top"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", {"a", "b", "c"}),
        ("text=WORDS+of+A", {"a"}),
        ("text=@bob", {"b"}),
        ("text=100%25", {"c"}),
        ("network=forum", {"b"}),
        ("brand=other", {"c"}),
        ("language=ms", {"b"}),
        ("assigned_to=lee", {"a"}),
        ("kind=question", set()),
        ("brand=nobody&late=yes&from=0", set()),
    ],
)
async def test_the_inbox_is_filtered_by_its_address(house: House, asked: str, found: set[str]) -> None:
    await house.signal(
        complaint("a"),
        complaint("b", story="forum:b", network="forum", author="@Bob", language="ms"),
        complaint("c", brand="other", text="words of c, 100% wrong"),
    )
    await house.settle()
    await do(house, "assign", "a", assignee="lee")
    async with sign_in(house) as client:
        page = words((await client.get(f"/console/answers?{asked}")).text)
    assert {post for post in "abc" if f"words of {post}" in page} == found


async def test_a_key_outside_the_house_finds_nothing_by_words_that_it_may_not_see(house: House) -> None:
    await house.signal(complaint("a", policy=SourcePolicy.IDS_ONLY), complaint("b"))
    await house.settle()
    key = (await make_key(house, "centre", "respond", "acme"))["authorization"].removeprefix("Bearer ")
    async with sign_in(house, key) as client:
        assert words((await client.get("/console/answers")).text).count("Answer on bsky") == 2
        asked = (await client.get("/console/answers?text=words")).text
        assert "words of b" in asked
        assert words(asked).count("Answer on bsky") == 1
        assert "@mia" not in (await client.get("/console/answers?text=nothing")).text


async def test_ten_answers_are_marked_with_one_form_that_comes_back_to_where_it_was(house: House) -> None:
    await house.signal(*(complaint(f"p{n}", minutes=n) for n in range(12)))
    await house.settle()
    known = await clocks(house)
    async with sign_in(house) as client:
        ticked = {f"clock.{known[f'p{n}']['id']}": "1" for n in range(10)}
        form = {
            "csrf": await csrf(client),
            "asked": "brand=acme",
            "how": "phone",
            "why": "spam",
            "assignee": "",
            "minutes": "60",
        }
        answer = await client.post("/console/answers/answer", data={**form, **ticked})
        assert answer.headers["location"] == "/console/answers?brand=acme&done=answered"
        assert "0 overdue, 2 more waiting" in words((await client.get("/console/answers")).text)
        assert (await client.post("/console/answers/answer", data={**form, **ticked})).status_code == 409
        assert (await client.post("/console/answers/answer", data=form)).status_code == 422
        strange = {**form, "asked": "x\r\nset-cookie: a=b", f"clock.{known['p10']['id']}": "1"}
        answer = await client.post("/console/answers/dismiss", data=strange)
        assert answer.headers["location"] == "/console/answers?done=dismissed"
    assert {one["settled_by"] for one in (await clocks(house)).values()} == {"dana", None}
    assert (await clocks(house))["p10"]["settled_as"] == "spam"


async def test_three_hundred_that_wait_are_pages_of_below_100_kb_that_show_each_once(house: House) -> None:
    await house.signal(
        *(complaint(f"p{n:03}", minutes=n / 10, text=f"words {n:03} " + "long " * 50) for n in range(300))
    )
    await house.settle()
    seen = []
    async with sign_in(house) as client:
        for first in range(0, 300, 30):
            page = (await client.get(f"/console/answers?from={first}")).text
            assert len(page.encode()) < 100_000
            seen += [n for n in range(300) if f"words {n:03} " in page]
    assert seen == list(range(300))


async def test_a_live_page_hears_of_what_was_settled_put_off_and_assigned(house: House) -> None:
    await house.signal(complaint("a"), complaint("b"), complaint("c"))
    await house.settle()
    versions = []
    async with sign_in(house) as client:
        for what, more in (
            (None, {}),
            ("assign", {"assignee": "lee"}),
            ("snooze", {"minutes": 5}),
            ("answer", {"how": "mail"}),
        ):
            if what is not None:
                await do(house, what, "a", **more)
            versions.append((await client.get("/console/answers")).text.partition('data-version="')[2][:16])
    assert len(set(versions)) == 4


def test_an_address_that_asks_for_nonsense_asks_for_everything() -> None:
    assert filter_of({"late": "maybe", "nothing": "x"}) == filter_of({})
    assert len(filter_of({"text": "x" * 5000}).text) == 200
