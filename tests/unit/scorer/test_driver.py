"""The post that drives a story is found where it is a reply, and what people are shown says different things."""

from __future__ import annotations

from typing import Any

import pytest

from scorer.surge_model import SurgeModel
from scorer.surge_state import BrandSurgeState
from scorer.virality.cards import CARDS, Card
from scorer.virality.cascade import VOICES, Cascade
from services.base.clock import epoch
from services.contracts.post import PostKind, PostObserved
from services.contracts.signal import CascadeForecast
from tests.unit.alerter import make
from tests.unit.scorer.test_forwarding import placed, settle
from tests.unit.scorer.test_pipeline import ACME, BEGIN, Lane, complaint, only, post, reposts

QUESTION = "Does Acme fly on Sundays?"
ANGRY = "They lost my bag and nobody answers, this is awful"


def reply(post_id: str, text: str = ANGRY, **more: Any) -> PostObserved:
    return post(post_id, PostKind.REPLY, "1", parent_id="1", text=text, **more)


def shared(count: int, parent: str, root: str = "1") -> list[PostObserved]:
    return [post(f"s{parent}-{n}", PostKind.REPOST, root, parent_id=parent) for n in range(count)]


@pytest.mark.parametrize("spoken", [1, 30])
@pytest.mark.parametrize("root", ["1", "7"], ids=["with_root", "by_its_parent_alone"])
async def test_a_forecast_names_the_reply_that_people_engage_with_and_the_root_beside_it(
    root: str, spoken: int
) -> None:
    lane = Lane(line=300)
    others = [reply(f"c{n}", f"I am not sure about number {n} at all", brands=()) for n in range(spoken - 1)]
    await settle(
        lane, post("1", text=QUESTION, brands=(ACME,)), *others[: len(others) // 2], reply("7", permalink="u/7")
    )
    if root == "7":
        await settle(lane, placed("7", "x:1"))
    said = await settle(lane, *shared(20, "7", root), *others[len(others) // 2 :], *shared(700, "7", root)[20:])
    forecast = only(said, CascadeForecast)[-1]
    assert forecast.conversation == "x:1"
    assert forecast.driver is not None
    assert (forecast.driver.post_id, forecast.driver.permalink) == ("7", "u/7")
    assert forecast.driver.text == ANGRY
    assert forecast.root is not None
    assert forecast.root.post_id == "1"
    assert "of them with one reply" in forecast.reason


async def test_where_the_root_itself_is_shared_it_drives_the_story() -> None:
    lane = Lane()
    said = await settle(lane, complaint(), reply("7"), *shared(20, "7"), *reposts(80))
    assert only(said, CascadeForecast)[-1].driver is None


async def test_a_deleted_driver_is_named_no_more() -> None:
    lane = Lane(line=10_000)
    await settle(lane, post("1", text=QUESTION, brands=(ACME,)), reply("7"), *shared(60, "7"))
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert cascade.driver is not None
    await settle(lane, post("7", PostKind.DELETION, "1"))
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert cascade.driver is None
    assert not any(b"lost my bag" in value for value in lane.committed.values())


async def test_a_pile_on_under_the_brands_own_post_names_that_as_its_cause() -> None:
    lane = Lane()
    await settle(lane, post("1", text="Happy Friday!", author_brand=ACME))
    said = await settle(lane, *(reply(f"p{n}", f"shameful number {n}") for n in range(60)))
    forecast = only(said, CascadeForecast)[-1]
    assert forecast.root is not None
    assert forecast.root.post_id == "1"
    assert "under the brand's own post" in forecast.reason


def card(post_id: str, text: str, negative: float = 0.9) -> Card:
    return Card("x", post_id, "reply", epoch(BEGIN), text=text, negative=negative)


def test_replies_that_nobody_engages_with_make_room_and_the_angriest_can_come_back() -> None:
    cascade = Cascade(story="x:1", network="x")
    angriest = card("7", ANGRY, 0.99)
    cascade.listen(angriest)
    cascade.show(angriest)
    for number in range(50):
        cascade.listen(card(f"{number}-", f"number {number}", 0.1))
    assert len(cascade.voices) == VOICES
    assert "7" not in cascade.voices
    for _share in range(6):
        cascade.credit("7")
    assert cascade.driver is not None
    assert cascade.driver.card.post_id == "7"


COPIES = [
    ANGRY,
    f"@acme {ANGRY} https://x.example/1",
    ANGRY.upper(),
    "They lost my bag and nobody answers, this is really awful",
]


def test_exemplars_are_posts_in_different_words() -> None:
    cascade = Cascade(story="x:1", network="x")
    for number in range(20):
        cascade.show(card(f"{number}", COPIES[number % len(COPIES)], 0.9 + number / 1_000))
    assert len(cascade.exemplars) == 1
    cascade.show(card("a", "Three hours on hold and then they hung up on me", 0.5))
    cascade.show(card("b", "The refund never came, shame on you all", 0.4))
    assert [one.post_id for one in cascade.exemplars] == ["0", "a", "b"]
    assert len(cascade.exemplars) == CARDS


def test_exemplars_of_a_surge_are_posts_in_different_words() -> None:
    known = BrandSurgeState(SurgeModel.new())
    for number in range(20):
        known.keep(make.card(f"{number}", text=COPIES[number % len(COPIES)], negative=0.9))
    known.keep(make.card("a", text="Three hours on hold and then they hung up on me", negative=0.5))
    assert len(known.exemplars) == 2
