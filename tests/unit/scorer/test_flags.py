"""Danger is flagged in any mood and any language, read or unread, in roots, replies and quotes, once a post and brand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scorer.flags import TOPIC_OF, Flags
from scorer.sentiment.model import Danger, DangerKind, Reading
from services.config.rule import TOPICS
from services.contracts.base import ConversationId
from services.contracts.phrases import Spoken
from services.contracts.post import Author, PostKind, PostRef
from services.contracts.signal import CascadeForecast, FlaggedBy, PostAsked, PostFlagged, PostNegative
from tests.unit.scorer.test_pipeline import ACME, Lane, only, post, reposts

SMOKE = "there is smoke in the cabin, we are landing"


@pytest.mark.parametrize(
    ("text", "language", "word"),
    [
        (f"Acme {SMOKE}", "en", "there is smoke"),
        (f"Acme {SMOKE}", "de", "there is smoke"),
        ("Acme: di kabin ini keluar asap", "ms", "keluar asap"),
        ("Acme 客舱冒烟了", "zh", "冒烟"),
    ],
)
async def test_a_calm_or_unread_post_is_flagged_with_the_words_that_fired(text: str, language: str, word: str) -> None:
    lane = Lane()
    said = await lane.take(post("1", text=text, language=language, brands=(ACME,), permalink="https://x.com/1"))
    (flagged,) = only(said, PostFlagged)
    assert (flagged.brand, flagged.story, flagged.by) == ("acme", "x:1", FlaggedBy.WORDS)
    assert word in flagged.topics["safety"]
    assert flagged.post.permalink == "https://x.com/1"
    assert (flagged.complaint is None) is (language in {"ms", "zh"})
    assert only(said, PostNegative) == []


async def test_a_reply_is_flagged_for_the_brand_of_its_conversation_and_only_once() -> None:
    lane = Lane()
    await lane.take(post("1", text="Acme says hello", brands=(ACME,)))
    reply = post("2", PostKind.REPLY, "1", text=SMOKE, parent_id="1")
    (flagged,) = only(await lane.take(reply), PostFlagged)
    assert (flagged.story, flagged.post.post_id) == ("x:1", "2")
    assert only(await lane.take(reply), PostFlagged) == []


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("copy_first", [True, False])
async def test_a_quote_is_flagged_once_whether_or_not_it_names_the_brand(named: bool, copy_first: bool) -> None:
    lane = Lane()
    await lane.take(post("1", text="Acme says hello", brands=(ACME,)))
    home = ConversationId("x:9")
    text = f"Acme: {SMOKE}" if named else SMOKE
    brands = (ACME,) if named else ()
    copy = post("9", PostKind.QUOTE, "1", home=home, parent_id="1", text=text, brands=brands)
    ref = PostRef(post_id="1", conversation=ConversationId("x:1"))
    own = post("9", PostKind.QUOTE, home=home, text=text, quotes=ref, brands=brands)
    said = await lane.take(*((copy, own) if copy_first else (own, copy)))
    (flagged,) = only(said, PostFlagged)
    assert flagged.post.post_id == "9"
    assert flagged.story == ("x:9" if named else "x:1")


async def test_what_a_brand_writes_itself_and_what_is_about_another_is_not_flagged() -> None:
    lane = Lane()
    own = post("1", text=f"Acme: {SMOKE}", brands=(ACME,), author_brand=ACME)
    assert only(await lane.take(own), PostFlagged) == []
    other = post("2", PostKind.REPLY, "1", text=f"Blue: {SMOKE}", brands=("blue",), parent_id="1")
    assert [flagged.brand for flagged in only(await lane.take(other), PostFlagged)] == ["blue"]


async def test_a_negative_post_is_told_before_its_flag() -> None:
    said = await Lane().take(post("1", text="Acme is terrible, awful, the charger caught fire", brands=(ACME,)))
    kinds = [event.TYPE for event in said if isinstance(event, (PostNegative, PostFlagged))]
    assert kinds == [PostNegative.TYPE, PostFlagged.TYPE]
    (flagged,) = only(said, PostFlagged)
    assert flagged.complaint == only(said, PostNegative)[0].complaint


async def test_a_hint_is_flagged_as_one_and_says_that_a_person_should_look() -> None:
    (flagged,) = only(await Lane().take(post("1", text="Acme, we were trapped for hours", brands=(ACME,))), PostFlagged)
    assert (flagged.topics, flagged.hints) == ({}, {"safety": ("trapped",)})


class Reads(Lane):
    """A lane whose model reads one danger in every text."""

    danger = Danger(DangerKind.FIRE, 0.99, sure=True)
    abstain: str | None = None

    async def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        return [
            Reading(0.2, 0.7, 0.1, 0.3, 0, self.abstain, self.danger, "many-1")
            for _ in zip(texts, languages, strict=True)
        ]


async def test_a_danger_that_no_word_says_is_flagged_by_the_model_that_read_it() -> None:
    said = await Reads().take(post("1", text="Acme: kabelnya meleleh di tangan anak saya", brands=(ACME,)))
    (flagged,) = only(said, PostFlagged)
    assert (flagged.by, flagged.topics, flagged.hints) == (FlaggedBy.MODEL, {"safety": ("fire",)}, {})
    assert (flagged.model, flagged.complaint) == ("many-1", 0.3)


@pytest.mark.parametrize(
    ("danger", "abstain", "text"),
    [
        (Danger(DangerKind.FIRE, 0.95, sure=False), None, "Acme melts"),
        (Danger(DangerKind.FIRE, 0.99, sure=True), "language: zu", "Acme melts"),
        (Danger(DangerKind.FIRE, 0.99, sure=True), "unsure", "Acme melts"),
    ],
)
async def test_a_danger_that_is_in_doubt_pages_nobody(danger: Danger, abstain: str | None, text: str) -> None:
    lane = Reads()
    lane.danger, lane.abstain = danger, abstain
    assert only(await lane.take(post("1", text=text, brands=(ACME,))), PostFlagged) == []


async def test_what_words_say_is_not_said_again_by_the_model_and_what_they_do_not_say_is() -> None:
    lane = Reads()
    (by_words,) = only(await lane.take(post("1", text=f"Acme {SMOKE}", brands=(ACME,))), PostFlagged)
    assert by_words.by is FlaggedBy.WORDS
    assert by_words.model is None
    lane.danger = Danger(DangerKind.FRAUD, 0.99, sure=True)
    both = only(await lane.take(post("2", text=f"Acme {SMOKE}", brands=(ACME,))), PostFlagged)
    assert [(one.by, list(one.topics)) for one in both] == [
        (FlaggedBy.WORDS, ["safety"]),
        (FlaggedBy.MODEL, ["breach"]),
    ]


def test_a_brand_without_the_topic_of_a_danger_does_not_hear_of_it() -> None:
    reading = Reading(0.9, 0.1, 0.0, danger=Danger(DangerKind.LEGAL, 0.99, sure=True))
    flags = Flags(lambda brand: {"legal": ("lawyer",)} if brand == "acme" else {"luggage": ("suitcase",)})
    assert flags.read(reading, ["acme", "blue"], {}) == {"acme": Spoken({"legal": ("legal",)}, {})}
    assert flags.read(None, ["acme"], {}) == {}
    assert flags.read(Reading(0.9, 0.1, 0.0), ["acme"], {}) == {}


def test_every_danger_belongs_to_a_topic_that_ships() -> None:
    assert TOPIC_OF.keys() == set(DangerKind)
    assert set(TOPIC_OF.values()) <= TOPICS.keys()


def test_brands_with_the_same_topics_share_a_finder() -> None:
    topics = {"luggage": ("suitcase",)}
    flags = Flags(lambda _: topics)
    found = flags.find(post("1", text="my suitcase"), ["acme", "blue"])
    assert found == dict.fromkeys(("acme", "blue"), Spoken({"luggage": ("suitcase",)}, {}))
    assert len(flags._finders) == 1


@pytest.mark.parametrize("verified", [True, False, None])
async def test_whether_the_network_vouches_for_the_author_travels_and_is_remembered(verified: bool | None) -> None:
    lane = Lane()
    author = Author(id="a", handle="desk", followers=48_000, verified=verified)
    (asked,) = only(await lane.take(post("1", text="Acme, any comment?", brands=(ACME,), author=author)), PostAsked)
    assert asked.post.verified is verified
    lane.restart()
    forecasts = only(await lane.take(*reposts(60)), CascadeForecast)
    assert forecasts[-1].root is not None
    assert forecasts[-1].root.verified is verified
