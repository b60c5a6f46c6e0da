"""Every complaint and question has its clock; the brand's answer stops it; what is overdue is told once, to its owner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from alerter.notify import endpoints
from alerter.notify.endpoints import Draft, Purpose
from alerter.notify.outlet import Kind
from services.contracts.base import AccountId, BrandId, ConversationId, StoryId
from services.contracts.post import SourcePolicy
from services.contracts.signal import PostAnswered, PostAsked
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import verify
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make
from tests.unit.alerter.make import ACME, NOW

PEOPLE = [{"id": "dana", "methods": ["dana-push"], "digest": "dana-mail"}]
ACCOUNTS = [
    {"network": "bsky", "handle": "acme", "owner": "dana"},
    {"network": "x", "handle": "acme", "owner": "nobody-there"},
]
BRAND = {"id": "acme", "name": "Acme", "line": {"engagements": 500}, "accounts": ACCOUNTS, "promise": {"minutes": 60}}


@asynccontextmanager
async def running(make_house: MakeHouse, **more: Any) -> AsyncIterator[House]:
    house = make_house(make.config(brands=[{**BRAND, **more}], responders=PEOPLE, rules=[]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("dana-push")
        await house.endpoint("dana-mail")
        yield house


def complaint(post: str, followers: int = 12, minutes: float = 0, **more: Any) -> Any:
    card = make.card(post, followers=followers, at=NOW + timedelta(minutes=minutes), **more)
    return make.negative(severity=1, story=f"{card.network}:{post}").model_copy(update={"post": card})


def answer(post: str, minutes: float, network: str = "bsky") -> PostAnswered:
    conversation = f"{network}:{post}"
    at = NOW + timedelta(minutes=minutes)
    return PostAnswered(
        brand=ACME, story=StoryId(conversation), conversation=ConversationId(conversation), post_id=post, answer_id="a",
        at=at, seconds=None,
    )  # fmt: skip


async def listed(house: House, **params: str) -> list[Any]:
    got = await house.http.get("/v1/answer-clocks", params=params)
    assert got.status_code == 200, got.text
    items: list[Any] = got.json()["items"]
    return items


async def test_a_small_complaint_that_nobody_answers_is_told_to_its_owner_once_and_never_as_a_page(
    make_house: MakeHouse,
) -> None:
    async with running(make_house) as house:
        await house.signal(complaint("p1"))
        await house.settle()
        (clock,) = await listed(house)
        assert (clock["state"], clock["band"], clock["overdue"]) == ("running", "under 100", False)
        await house.pass_time(59 * 60)
        assert house.receiver.got == []
        await house.pass_time(60)
        (got,) = house.receiver.got
        assert got.path == "/dana-mail"
        verify(house.secrets["dana-mail"], got)
        assert got.type == "answer.due"
        (item,) = got.body["data"]["items"]
        assert (item["post_id"], item["permalink"]) == ("p1", "https://bsky.example/post/p1")
        assert "text" not in item
        assert (await listed(house, state="overdue"))[0]["told_at"] is not None
        await house.pass_time(5 * 3600, step=600)
        assert len(house.receiver.got) == 1, "told once"
        await house.alerter.gauges.turn()
        sample = house.registry.get_sample_value
        assert sample("firebreak_answers_overdue", {"brand": "acme"}) == 1
        assert sample("firebreak_answer_digests_total", {"outcome": "sent"}) == 1


async def test_those_that_follow_within_the_hour_are_told_together(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(*(complaint(f"p{n}", minutes=n) for n in range(40)))
        await house.settle()
        await house.pass_time(60 * 60)
        assert len(house.receiver.at("/dana-mail")) == 1
        await house.pass_time(59 * 60)
        assert len(house.receiver.at("/dana-mail")) == 1
        await house.pass_time(60)
        _, second = house.receiver.at("/dana-mail")
        data = second.body["data"]
        assert (data["overdue"], data["new"], len(data["items"])) == (40, 39, 25)
        assert data["items"][0]["post_id"] == "p1", "the longest overdue first"
        await house.pass_time(3 * 3600, step=600)
        assert len(house.receiver.at("/dana-mail")) == 2


async def test_an_answer_stops_the_clock_also_when_it_was_seen_first(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(complaint("p1"), answer("p1", 20), answer("p2", 30), complaint("p2"))
        await house.settle()
        await house.pass_time(3 * 3600, step=600)
        assert house.receiver.got == []
        assert {(c["post_id"], c["state"]) for c in await listed(house)} == {("p1", "answered"), ("p2", "answered")}
        times = (await house.http.get("/v1/answer-times")).json()["items"]
        assert [(t["network"], t["band"], t["asked"], t["share"], t["median_seconds"]) for t in times] == [
            ("bsky", "under 100", 2, 1.0, 1500.0)
        ]


async def test_a_question_waits_as_a_complaint_does_and_mere_anger_does_not(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        asked = PostAsked(
            brand=ACME, story=StoryId("bsky:q"), conversation=ConversationId("bsky:q"), post=make.card("q", followers=None)
        )  # fmt: skip
        anger = make.negative("p9", severity=0, story="bsky:p9", complaint=0.1)
        await house.signal(asked, anger)
        await house.settle()
        assert [(c["post_id"], c["kind"], c["band"]) for c in await listed(house)] == [("q", "question", "unknown")]


async def test_a_deleted_post_is_no_longer_due_and_leaves_the_digest(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(complaint("p1"), complaint("p2"))
        await house.settle()
        await house.signal(make.redacted("p1", "bsky:p1"))
        await house.settle()
        await house.pass_time(3600)
        (got,) = house.receiver.got
        assert [item["post_id"] for item in got.body["data"]["items"]] == ["p2"]
        await house.signal(make.redacted("p2", "bsky:p2"))
        await house.settle()
        (delivery,) = await house.deliveries(endpoint="dana-mail")
        await house.http.post(f"/v1/deliveries/{delivery['id']}/resend")
        await house.settle()
        assert house.receiver.got[-1].body["data"]["items"] == []
        assert {c["permalink"] for c in await listed(house)} == {None}
        assert (await house.http.get("/v1/answer-times")).json()["items"] == []


async def test_what_nobody_can_be_told_of_stays_in_the_list_and_is_counted(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(complaint("p1", network="x", account=AccountId("x:acme")))
        await house.settle()
        await house.pass_time(2 * 3600)
        assert house.receiver.got == []
        assert len(await listed(house, state="overdue")) == 1
        sample = house.registry.get_sample_value
        assert sample("firebreak_answer_digests_total", {"outcome": "unowned"}) == 2


async def test_what_a_source_keeps_in_the_house_leaves_it_in_no_digest(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        link = "https://bsky.example/angry.example/p1"
        await house.signal(
            complaint("p1", policy=SourcePolicy.IDS_ONLY, permalink=link),
            complaint("p2", policy=SourcePolicy.INTERNAL),
        )
        await house.settle()
        await house.pass_time(3600)
        (got,) = house.receiver.got
        assert b"angry.example" not in got.raw
        assert [item.get("post_id") for item in got.body["data"]["items"]] == ["p1", None]


async def test_a_key_limited_to_a_brand_sees_its_clocks_alone(make_house: MakeHouse) -> None:
    house = make_house(make.config(rules=[]))
    await house.receiver.start()
    async with house.running():
        await house.signal(complaint("p1"))
        await house.settle()
        assert len(await listed(house, brand=BrandId("acme"))) == 1
        made = await house.http.post("/v1/keys", json={"name": "centre", "scope": "read", "brands": ["other"]})
        key = {"authorization": f"Bearer {made.json()['key']}"}
        for path in ("/v1/answer-clocks", "/v1/answer-times"):
            got = await house.http.get(path, headers=key)
            assert (got.status_code, got.json()["items"]) == (200, [])


async def test_without_an_owner_on_the_brand_a_complaint_waits_all_the_same(make_house: MakeHouse) -> None:
    async with running(make_house, accounts=[]) as house:
        await house.signal(complaint("p1"))
        await house.settle()
        await house.pass_time(3600)
        (clock,) = await listed(house, state="overdue")
        assert clock["account"] is None


async def test_a_digest_goes_to_no_endpoint_that_pages(make_house: MakeHouse) -> None:
    house = make_house(
        make.config(brands=[BRAND], responders=[{"id": "dana", "methods": ["pager", "tickets", "inbox"]}], rules=[])
    )
    await house.receiver.start()
    async with house.running():
        draft = Draft("pager", house.receiver.url("/pager"), Kind.PAGERDUTY, secrets={Purpose.KEY: "k" * 32})
        await house.alerter.database.write(lambda c: endpoints.add(c, draft, NOW))
        goalert = Draft("tickets", house.receiver.url("/tickets"), Kind.HTTP, options={"recipe": "goalert"})
        await house.alerter.database.write(lambda c: endpoints.add(c, goalert, NOW))
        await house.signal(complaint("p1"))
        await house.settle()
        await house.pass_time(3600)
        assert house.receiver.got == []
        await house.endpoint("inbox")
        await house.pass_time(3600)
        assert [one.path for one in house.receiver.got] == ["/inbox"]


async def test_calm_danger_starts_the_clock_as_a_complaint_does_and_praise_of_one_s_own_topic_does_not(
    make_house: MakeHouse,
) -> None:
    async with running(make_house) as house:
        await house.signal(make.flagged("p1", story="bsky:p1"))
        await house.signal(make.flagged("p2", story="bsky:p2", topics={"praise": ("lovely",)}))
        await house.settle()
        (clock,) = await listed(house)
        assert (clock["post_id"], clock["kind"], clock["state"]) == ("p1", "danger", "running")
        await house.signal(answer("p1", 5))
        await house.settle()
        assert (await listed(house, state="answered"))[0]["post_id"] == "p1"


def copy_of(post: str, minutes: float = 0, **more: Any) -> Any:
    return complaint(post, minutes=minutes, **more).model_copy(update={"voice": "5f0c"})


async def test_three_hundred_copies_of_one_text_have_one_clock_which_counts_them(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        for number in range(300):
            await house.signal(copy_of(f"c{number}", minutes=number / 60))
        await house.signal(complaint("own"))
        await house.settle()
        clocks = {clock["post_id"]: clock["copies"] for clock in await listed(house)}
        assert clocks == {"c0": 299, "own": 0}
        await house.pass_time(70 * 60)
        (got,) = house.receiver.got
        assert got.body["data"]["overdue"] == 2


async def test_a_copy_on_another_network_joins_and_a_question_too(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(copy_of("c0"), copy_of("c1", network="x"))
        asked = PostAsked(
            brand=ACME,
            story=StoryId("bsky:q"),
            conversation=ConversationId("bsky:q"),
            post=make.card("q"),
            voice="5f0c",
        )
        await house.signal(asked)
        await house.settle()
        assert [(clock["post_id"], clock["copies"]) for clock in await listed(house)] == [("c0", 2)]


async def test_an_answered_text_asks_for_no_further_answer_today_and_for_one_tomorrow(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(copy_of("c0"), answer("c0", 5), copy_of("c1", minutes=6))
        await house.settle()
        assert [(clock["post_id"], clock["state"]) for clock in await listed(house)] == [("c0", "answered")]
        await house.pass_time(25 * 3600, step=3600)
        await house.signal(copy_of("c2", minutes=25 * 60))
        await house.settle()
        assert {clock["post_id"] for clock in await listed(house)} == {"c0", "c2"}


async def test_after_the_first_post_was_deleted_the_next_copy_has_a_clock(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(copy_of("c0"), make.redacted("c0", story="bsky:c0"), copy_of("c1"))
        await house.settle()
        running_ = [clock["post_id"] for clock in await listed(house) if clock["state"] == "running"]
        assert running_ == ["c1"]


async def test_what_was_not_read_stands_in_the_queue_with_its_text_until_it_is_answered_or_deleted(
    make_house: MakeHouse,
) -> None:
    async with running(make_house) as house:
        for post in ("p1", "p2", "p3"):
            await house.signal(make.unread(post, story=f"bsky:{post}", addressed=post != "p3"))
        await house.settle()
        clocks = {clock["post_id"]: clock for clock in await listed(house)}
        assert {post: clock["state"] for post, clock in clocks.items()} == {
            "p1": "running", "p2": "running", "p3": "listed",
        }  # fmt: skip
        assert (clocks["p1"]["kind"], clocks["p1"]["language"], clocks["p1"]["text"]) == ("unread", "ms", "teruk betul")
        await house.signal(answer("p1", 5))
        await house.signal(make.redacted("p2", story="bsky:p2"))
        await house.signal(make.flagged("p3", story="bsky:p3"))
        await house.settle()
        clocks = {clock["post_id"]: clock for clock in await listed(house)}
        assert (clocks["p1"]["state"], clocks["p1"]["text"]) == ("answered", None)
        assert (clocks["p2"]["state"], clocks["p2"]["text"]) == ("withdrawn", None)
        assert (clocks["p3"]["state"], clocks["p3"]["kind"]) == ("running", "danger"), "its words speak of danger"
        await house.pass_time(60 * 60)
        (got,) = house.receiver.got
        assert [item["post_id"] for item in got.body["data"]["items"]] == ["p3"]


async def test_a_brand_may_promise_nothing_about_what_was_not_read_and_still_sees_it(make_house: MakeHouse) -> None:
    async with running(make_house, promise={"minutes": 60, "unread": False}) as house:
        await house.signal(make.unread("p1", story="bsky:p1"))
        await house.settle()
        assert [clock["state"] for clock in await listed(house)] == ["listed"]
        await house.pass_time(3 * 3600, step=600)
        assert house.receiver.got == []


async def test_terms_that_keep_the_text_in_the_house_show_it_to_nobody_outside(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        card = make.card("p1", text="teruk betul", author="@mia", policy=SourcePolicy.IDS_ONLY)
        await house.signal(make.unread("p1", story="bsky:p1").model_copy(update={"post": card}))
        await house.settle()
        centre = await make_key(house, "centre", "read", "acme")
        (outside,) = (await house.http.get("/v1/answer-clocks", headers=centre)).json()["items"]
        assert (outside["kind"], outside["post_id"], outside["text"], outside["handle"]) == ("unread", "p1", None, None)
        (inside,) = await listed(house)
        assert (inside["text"], inside["handle"]) == ("teruk betul", "@mia")


async def test_a_question_that_could_not_be_read_stands_in_the_queue_and_keeps_its_clock(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(make.asked("p1", story="bsky:p1"))
        await house.signal(make.unread("p1", story="bsky:p1"))
        await house.settle()
        (clock,) = await listed(house)
        assert (clock["kind"], clock["state"], clock["text"]) == ("unread", "running", "teruk betul")
