"""Many who publish one text are one voice, in any language; many who say the same in their own words are many."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import product
from pathlib import Path

import pytest

from alerter.rules.severity import grade
from scorer.copies import Copies
from services.contracts.base import ConversationId, StoryId
from services.contracts.signal import BrandSurge, CopyWave, Line, PostAsked, PostNegative, PostRedacted, SurgePhase
from tests.unit.scorer.surge_lane import Lane as SurgeLane
from tests.unit.scorer.test_pipeline import ACME, Lane, only, post

JOKE = "I trust nobody any more, says the man who once believed what the Acme check-in desk told him"
WRITTEN = Path(__file__).parents[4] / "shared/data/written/clusters.csv"


def voices(texts: list[str]) -> list[str | None]:
    copies = Copies()
    return [copies.voice("acme", text) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        JOKE,
        JOKE.upper(),
        f"@acme {JOKE} 😂😂",
        f"{JOKE} https://t.example/1 #fail",
        f"{JOKE}!!! 300",
        JOKE.replace("I trust", "We trust"),
        JOKE.replace("check-in", "check\u2011in"),
        f"“{JOKE}”",
    ],
)
def test_a_copy_is_recognised_whatever_was_added(text: str) -> None:
    one, other = voices([JOKE, text])
    assert one is not None
    assert one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("アクメ航空に荷物をなくされた。誰も電話に出ない。本当に最悪だ",
         "アクメ航空に荷物をなくされた。誰も電話に出ない。本当に最悪だ😡😡"),
        ("Meine Koffer sind seit drei Tagen weg und bei Acme geht einfach niemand ans Telefon",
         "meine koffer sind seit drei tagen weg und bei @acme geht einfach niemand ans telefon!!"),
    ],
)  # fmt: skip
def test_copies_are_recognised_in_other_languages(one: str, other: str) -> None:
    assert len(set(voices([one, other]))) == 1


def test_own_words_are_voices_of_their_own() -> None:
    texts = [
        f"{who} {what} and {then}, thanks Acme"
        for who, what, then in product(
            ("My mother's suitcase", "The buggy of our twins", "A parcel worth a month's rent"),
            ("never came off the belt in Porto", "arrived soaked and with a wheel missing"),
            ("the desk had closed at nine", "your form asks for a number that nobody gave me"),
        )
    ]
    named = voices(texts)
    assert len(set(named)) == len(texts)


def test_short_reports_in_the_same_words_are_many_people() -> None:
    texts = [
        "Acme app is down again",
        "Acme card declined at the till 12",
        "Is Acme down? Nothing works",
        "I cannot pay, Acme",
    ]
    assert voices(texts * 20) == [None] * 80


def test_a_short_text_that_is_most_of_what_is_said_is_one_voice() -> None:
    named = voices(["Acme: where your luggage goes to die"] * 100)
    assert named[:7] == [None] * 7
    assert len(set(named[7:])) == 1
    assert None not in named[7:]


@pytest.mark.parametrize("text", [None, "", "Acme terrible", "😡😡😡", "https://t.example/1"])
def test_what_says_next_to_nothing_proves_nothing(text: str | None) -> None:
    copies = Copies()
    assert [copies.voice("acme", text) for _ in range(100)] == [None] * 100


def test_brands_are_apart_and_what_is_remembered_is_bounded() -> None:
    copies = Copies()
    for number in range(500):
        word = "".join(chr(97 + int(digit)) for digit in str(number))
        copies.voice("acme", " ".join(f"{word}{letter}" for letter in "abcdefghijkl"))
    (entry,) = copies.changes().values()
    assert entry is not None
    assert len(entry) < 8_000
    assert copies.voice("blue", JOKE) == copies.voice("acme", JOKE)


@pytest.mark.skipif(not WRITTEN.exists(), reason="the written posts are not on this machine")
def test_of_the_written_clusters_no_two_are_joined_and_no_outage_is_a_copy() -> None:
    with WRITTEN.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    found = defaultdict(set)
    for row, voice in zip(rows, voices([row["text"] for row in rows]), strict=True):
        found[voice].add(row["cluster"])
    found.pop(None, None)
    assert all(len(clusters) == 1 for clusters in found.values())
    outage = [row["text"] for row in rows if row["kind"] == "outage"]
    assert len(set(voices(outage))) == len(outage)


# -- what it means for a surge -----------------------------------------------------------------------------------------


async def wave(lane: SurgeLane, count: int, seconds: float = 8, first: int = 0, **more: object) -> list[BrandSurge]:
    said = []
    for number in range(first, first + count):
        one = lane.complaint(number)
        card = one.post.model_copy(update={"text": JOKE, "followers": 500})
        said += await lane.take(one.model_copy(update={"post": card, "voice": "joke", "complaint": 0.5} | more))
        lane.clock.advance(seconds)
    return said


async def test_three_hundred_copies_are_told_once_as_copies_and_are_the_mildest() -> None:
    lane = SurgeLane()
    said = await wave(lane, 300)
    surge = said[0]
    assert [one.phase for one in said] == [SurgePhase.START, SurgePhase.GROWING, SurgePhase.GROWING]
    assert {one.begins for one in said} == {surge.begins}
    assert surge.wave is not None
    assert "copies of one text" in surge.reason
    assert surge.factor >= 3, "a rule about surges is asked"
    graded = grade(surge, Line(engagements=500), None)
    assert graded.severity == 4
    assert "copies of one text" in graded.words
    over = await lane.wait(3_600)
    assert [one.phase for one in over] == [SurgePhase.END]
    assert over[0].begins == surge.begins
    assert over[0].observed == 300
    assert lane.processor.due() is None


async def test_the_wave_of_copies_is_not_told_again_on_the_same_day() -> None:
    lane = SurgeLane()
    await wave(lane, 100)
    await lane.wait(3_600)
    assert await wave(lane, 100, first=100) == []


async def test_real_complaints_beside_the_copies_are_a_surge_of_their_own_and_say_how_many_copies_there_are() -> None:
    lane = SurgeLane()
    await wave(lane, 60, seconds=2)
    said = []
    for number in range(200):
        said += await lane.take(lane.complaint(number))
        said += await wave(lane, 1, seconds=2, first=1_000 + number)
    surge = next(one for one in said if one.wave is None)
    assert surge.phase is SurgePhase.START
    assert surge.observed <= 62, "copies do not count"
    assert surge.copies >= 50
    assert "copies of what was said already" in surge.reason
    assert not any(card.text == JOKE for card in surge.exemplars[1:]), "exemplars are different posts"


async def test_copies_teach_no_baseline() -> None:
    lane, quiet = SurgeLane(), SurgeLane()
    await wave(lane, 300)
    await wave(quiet, 1, seconds=2_400)
    models = [one.processor._get(ACME, one.clock.now().timestamp()).model for one in (lane, quiet)]
    assert models[0].baseline.posts <= models[1].baseline.posts + 2


async def test_a_deleted_joke_is_not_shown() -> None:
    lane = SurgeLane()
    await wave(lane, 10)
    await lane.take(
        PostRedacted(
            brand=ACME, story=StoryId("x:0"), conversation=ConversationId("x:0"), network="x", post_id="0",
            at=lane.clock.now(),
        )
    )  # fmt: skip
    (surge, *_) = await wave(lane, 100, first=10)
    assert surge.exemplars == ()
    assert all(JOKE.encode() not in entry for key, entry in lane.state.items() if key.startswith("v"))


@pytest.mark.parametrize(
    ("complaint", "reach", "line", "severity"),
    [
        (0.9, 20_000, Line(engagements=500), 4),
        (0.9, 2_000_000, Line(engagements=500), 3),
        (0.9, 20_000, Line(audience=10_000), 3),
        (0.2, 9_000_000, Line(engagements=500), 4),
        (None, 9_000_000, Line(engagements=500), 4),
    ],
)
async def test_copies_are_milder_unless_complaint_and_reach_say_otherwise(
    complaint: float | None, reach: int, line: Line, severity: int
) -> None:
    (surge, *_) = await wave(SurgeLane(), 100)
    surge = surge.model_copy(update={"wave": CopyWave(copies=100, reach=reach, complaint=complaint)})
    assert grade(surge, line, None).severity == severity


async def test_a_restart_in_the_middle_of_a_wave_says_the_same() -> None:
    one, other = SurgeLane(), SurgeLane()
    told, again = await wave(one, 100), []
    for number in range(100):
        again += await wave(other, 1, first=number)
        other.restart()
    assert told == again


async def test_the_first_stage_names_the_voice_of_complaints_and_questions() -> None:
    lane = Lane()
    angry = "Acme lost my bag, nobody answers the phone, the desk is shut and this is terrible service"
    said = only(await lane.take(*(post(str(n), text=f"{angry} {n}", brands=(ACME,)) for n in range(3))), PostNegative)
    assert len({one.voice for one in said}) == 1
    assert said[0].voice is not None
    lane.restart()
    (again,) = only(await lane.take(post("9", text=f"{angry} #shame", brands=(ACME,))), PostNegative)
    assert again.voice == said[0].voice
    asks = "Acme, does anybody know when the new lounge beside the old gate in Porto opens for families?"
    asked = only(await lane.take(*(post(f"q{n}", text=asks, brands=(ACME,)) for n in range(2))), PostAsked)
    assert len(asked) == 2
    assert asked[0].voice == asked[1].voice is not None
