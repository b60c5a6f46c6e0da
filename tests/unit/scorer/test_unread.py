"""What the model would not read is said, counted and surges as unread; it never looks like a contented audience."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scorer.sentiment.model import Reading
from services.contracts.post import PostKind
from services.contracts.signal import BrandSurge, PostNegative, PostUnread, SurgePhase
from tests.unit.scorer.surge_lane import Lane as SurgeLane
from tests.unit.scorer.test_pipeline import ACME, Lane, only, post


class Abroad(Lane):
    """A lane whose model reads English alone."""

    reason = "language: ms"

    async def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        self.texts += texts
        return [
            Reading(0.0, 1.0, 0.0, abstain=self.reason if "teruk" in text else None)
            for text, _ in zip(texts, languages, strict=True)
        ]


async def test_a_post_that_was_not_read_is_said_with_its_language_and_link_and_counted() -> None:
    lane = Abroad()
    said = await lane.take(
        post("1", text="Acme teruk betul", brands=(ACME,), language="en", permalink="https://x.com/1")
    )
    (unread,) = only(said, PostUnread)
    assert (unread.brand, unread.language, unread.reason) == ("acme", "ms", "language: ms")
    assert (unread.addressed, unread.wordless) == (True, False)
    assert (unread.post.text, unread.post.permalink) == ("Acme teruk betul", "https://x.com/1")
    labels = {"brand": "acme", "language": "ms"}
    assert lane.registry.get_sample_value("firebreak_scorer_unread_posts_total", labels) == 1
    assert only(said, PostNegative) == []


async def test_replies_that_were_not_read_are_no_part_of_the_mood() -> None:
    lane = Abroad()
    await lane.take(post("1", text="Acme says hello", brands=(ACME,)))
    replies = [post(f"r{n}", PostKind.REPLY, "1", text="teruk betul", parent_id="1") for n in range(5)]
    said = await lane.take(*replies)
    assert len(only(said, PostUnread)) == 5
    assert not any(unread.addressed for unread in only(said, PostUnread))
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert (cascade.replies, cascade.scored, cascade.negative) == (5, 0, 0)


@pytest.mark.parametrize("reason", ["no words", "no text"])
async def test_smileys_to_the_brand_are_said_and_those_among_people_are_not(reason: str) -> None:
    lane = Abroad()
    lane.reason = reason
    (unread,) = only(await lane.take(post("1", text="Acme teruk", brands=(ACME,))), PostUnread)
    assert unread.wordless
    assert only(await lane.take(post("2", PostKind.REPLY, "1", text="teruk", parent_id="1")), PostUnread) == []


async def test_the_number_of_labels_is_bounded() -> None:
    lane = Abroad()
    for number in range(100):
        lane.metrics.count_unread("acme", f"l{number}")
    lane.metrics.count_unread("acme", None)
    found = lane.registry.get_sample_value(
        "firebreak_scorer_unread_posts_total", {"brand": "acme", "language": "other"}
    )
    assert found == 41


async def test_a_wave_of_unread_posts_is_a_surge_of_its_own_that_says_so() -> None:
    lane = SurgeLane()
    heard: list[BrandSurge] = []
    for number in range(120):
        negative = lane.complaint(number)
        card = negative.post.model_copy(update={"at": lane.clock.now()})
        unread = PostUnread(
            brand=negative.brand, story=negative.story, conversation=negative.conversation, post=card, language="ms",
            reason="language: ms",
        )  # fmt: skip
        heard += await lane.take(unread)
        lane.clock.advance(2)
    assert [surge.phase for surge in heard][:1] == [SurgePhase.START]
    assert all(surge.unread and surge.brand == negative.brand for surge in heard)
    assert "posts that nobody could read" in heard[0].reason
    assert set(heard[0].languages) == {"ms"}
    assert [surge.phase for surge in await lane.wait(2 * 3600)][-1] is SurgePhase.END
    assert lane.processor.due() is None


async def test_smileys_that_nobody_can_read_are_no_surge() -> None:
    lane = SurgeLane()
    negative = lane.complaint(1)
    for _ in range(200):
        lane.clock.advance(2)
        card = negative.post.model_copy(update={"at": lane.clock.now()})
        unread = PostUnread(
            brand=negative.brand, story=negative.story, conversation=negative.conversation, post=card, reason="no words",
            wordless=True,
        )  # fmt: skip
        assert await lane.take(unread) == []
