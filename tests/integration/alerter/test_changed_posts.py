"""Edited posts are corrected wherever they are kept or were sent, hidden ones may come back, erased authors leave nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.contracts.changed import Said
from services.contracts.post import AuthorState, SourcePolicy
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_answers import complaint, listed, running
from tests.integration.alerter.test_erasure import HANDLE, everywhere, theirs, where
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

EDITED = NOW - timedelta(minutes=1)


def sent(house: House, kind: str, path: str = "/desk") -> list[Any]:
    return [message.body["data"] for message in house.receiver.at(path) if message.type == kind]


# -- edits -------------------------------------------------------------------------------------------------------------


async def test_an_edited_post_is_corrected_everywhere_and_receivers_are_told(house: House) -> None:
    await house.signal(make.forecast(loudest=(make.card("p1"),)), make.negative("p9", severity=1))
    await house.settle()
    await house.signal(make.edited("smoke on board", Said.NEGATIVE, Said.TOPICS))
    await house.settle()
    (incident,) = await house.incidents()
    for card in (incident["root"], *incident["loudest"]):
        assert (card["text"], card["author"]) == ("smoke on board", "@angry.example")
        assert card["edited_at"].startswith(EDITED.isoformat()[:19])
    (edit,) = sent(house, "post.edited")
    assert (edit["post_id"], edit["text"], edit["taken_back"]) == ("p1", "smoke on board", False)
    told = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()
    assert [line["kind"] for line in told["timeline"]][-1] == "edited"
    (opened,) = [d for d in await house.deliveries() if d["type"] == "incident.opened"]
    await house.http.post(f"/v1/deliveries/{opened['id']}/resend")
    await house.settle()
    resent = house.receiver.at("/desk")[-1]
    assert resent.id == opened["id"]
    assert b"the text of p1" not in resent.raw
    assert resent.body["data"]["root"]["text"] == "smoke on board"
    assert resent.body["data"]["root"]["edited_at"].startswith(EDITED.isoformat()[:19])


async def test_an_edit_that_says_what_is_known_already_tells_nobody(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    for _ in range(2):
        await house.signal(make.edited("smoke on board", Said.NEGATIVE))
        await house.settle()
    assert len(sent(house, "post.edited")) == 1
    (incident,) = await house.incidents()
    told = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()
    assert [line["kind"] for line in told["timeline"]].count("edited") == 1


async def test_people_are_told_when_the_post_of_an_incident_takes_its_complaint_back(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    await house.signal(make.edited("they found it, thank you"))
    await house.settle()
    (update,) = sent(house, "incident.updated")
    assert "no longer complains" in update["because"]
    assert sent(house, "post.edited")[0]["taken_back"]


@pytest.mark.parametrize("policy", [SourcePolicy.IDS_ONLY, SourcePolicy.INTERNAL])
async def test_the_new_words_leave_the_house_only_as_their_network_allows(house: House, policy: SourcePolicy) -> None:
    await house.signal(make.forecast(root=make.card(policy=policy)))
    await house.settle()
    await house.signal(make.edited("smoke on board", Said.NEGATIVE, policy=policy))
    await house.settle()
    assert all(b"smoke on board" not in message.raw for message in house.receiver.at("/desk"))
    (incident,) = await house.incidents()
    assert incident["root"]["text"] == "smoke on board", "in the house it is shown"


async def test_a_deletion_after_an_edit_takes_the_new_words_back(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    await house.signal(make.edited("smoke on board", Said.NEGATIVE))
    await house.settle()
    await house.signal(make.redacted(), make.edited("smoke again", Said.NEGATIVE, edited_at=NOW))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["root"]["text"] is None
    for delivery in await house.deliveries():
        body = (await house.http.get(f"/v1/deliveries/{delivery['id']}")).text
        assert "smoke" not in body


async def test_an_edit_that_takes_the_complaint_away_stops_its_clock_and_another_starts_it_again(
    make_house: MakeHouse,
) -> None:
    async with running(make_house) as house:
        await house.signal(complaint("p1"))
        await house.settle()
        await house.signal(make.edited("they found it, thank you"))
        await house.settle()
        assert [clock["state"] for clock in await listed(house)] == ["withdrawn"]
        again = complaint("p1", edited_at=NOW + timedelta(minutes=5)).model_copy(update={"edited": True})
        await house.signal(again)
        await house.settle()
        (clock,) = await listed(house)
        assert clock["state"] == "running"
        assert clock["due_at"].startswith((NOW + timedelta(minutes=65)).isoformat()[:16]), "from the edit on"


async def test_a_danger_that_was_taken_back_is_still_looked_at(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(make.flagged())
        await house.settle()
        await house.signal(make.edited("lovely evening"))
        await house.settle()
        assert [clock["state"] for clock in await listed(house)] == ["running"]


async def test_a_clock_that_counts_the_copies_of_a_text_runs_on_for_the_others(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(*(complaint(post).model_copy(update={"voice": "v"}) for post in ("p1", "p2")))
        await house.settle()
        await house.signal(make.edited("they found it, thank you"))
        await house.settle()
        assert [clock["state"] for clock in await listed(house)] == ["running"]


async def test_a_post_that_was_answered_and_speaks_of_danger_since_waits_again(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(complaint("p1"), make.answered("bsky:p1", NOW + timedelta(minutes=1)))
        await house.settle()
        flagged = make.flagged(story="bsky:p1")
        card = flagged.post.model_copy(update={"edited_at": NOW + timedelta(minutes=2)})
        await house.signal(flagged.model_copy(update={"post": card, "edited": True}))
        await house.settle()
        assert [clock["state"] for clock in await listed(house)] == ["running"]


async def test_the_queue_of_what_was_not_read_shows_the_new_words(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.signal(make.unread())
        await house.settle()
        await house.signal(make.edited("sangat teruk", Said.UNREAD))
        await house.settle()
        assert [clock["text"] for clock in await listed(house)] == ["sangat teruk"]


# -- hidden ------------------------------------------------------------------------------------------------------------


async def test_a_hidden_post_may_be_shown_again_and_a_deleted_one_may_not(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    hidden = make.redacted().model_copy(update={"hidden": True})
    await house.signal(hidden, make.forecast(2))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["root"]["text"] is None
    assert "hidden" in sent(house, "post.redacted")[0]["because"]
    await house.signal(make.shown(), make.forecast(3))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["root"]["text"] == "the text of p1"
    await house.signal(hidden, make.redacted(), make.shown(), make.forecast(4))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["root"]["text"] is None


# -- authors -----------------------------------------------------------------------------------------------------------


async def test_one_erasure_forgets_every_post_of_an_author(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.integration.alerter.test_erasure.theirs", lambda *a, **m: theirs(*a, author_id="4711", **m)
    )
    house = make_house()
    async with house.running():
        await everywhere(house)
        other = make.card("p8", author_id="5", author="@calm.example")
        await house.signal(make.negative("p8", story="bsky:p8").model_copy(update={"post": other}))
        await house.settle()
        assert "incidents.dossier" in await where(house)
        await house.signal(make.author(), make.author())
        await house.settle()
        assert await where(house) == set()
        incidents = await house.incidents()
        assert any(card["author"] == "@calm.example" for one in incidents for card in one["exemplars"])
        clocks = {clock["post_id"]: clock["state"] for clock in await listed(house)}
        assert {clocks[post] for post in ("p1", "p2", "p3")} == {"withdrawn"}
        assert clocks["p8"] == "running"
        assert {data["post_id"] for data in sent(house, "post.redacted")} >= {"p1"}


async def test_what_comes_late_of_an_erased_author_is_not_kept_and_later_posts_of_one_who_is_back_are(
    house: House,
) -> None:
    late = theirs("p1", author_id="4711")
    await house.signal(make.author(), make.forecast(root=late, exemplars=(late,)))
    await house.settle()
    assert await where(house) == set()
    (incident,) = await house.incidents()
    assert (incident["root"], incident["exemplars"]) == (None, [])
    await house.signal(make.author(AuthorState.REINSTATED, at=NOW + timedelta(minutes=1)))
    old, new = theirs("p5", author_id="4711"), theirs("p6", author_id="4711", at=NOW + timedelta(minutes=2))
    await house.signal(
        make.author(), make.forecast(2, root=None, exemplars=(old, new))
    )  # and the first report, sent again
    await house.settle()
    (incident,) = await house.incidents()
    assert [card["post_id"] for card in incident["exemplars"]] == ["p6"]
    assert incident["exemplars"][0]["author"] == f"@{HANDLE}"
