"""What a client may rely on when it posts."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from ingest.schemas import EXAMPLES
from services.contracts.post import SourcePolicy
from tests.integration.ingest.desk import NOW, POST, Desk


def post(post_id: str, **fields: Any) -> dict[str, Any]:
    return {**POST, "post_id": post_id, **fields}


async def test_a_202_means_that_the_log_has_the_post(desk: Desk) -> None:
    answer = await desk.post(POST)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    (result,) = answer.json()["results"]
    (event,) = await desk.stored()
    assert (result["index"], result["status"], result["post"], len(result["event_ids"])) == (0, "accepted", "x:1", 1)
    assert (event.post_id, event.brands, event.observed_at) == ("1", ("acme",), NOW)
    assert event.policy is SourcePolicy.IDS_ONLY


async def test_no_202_is_said_before_the_log_has_answered(desk: Desk) -> None:
    desk.log.gate = asyncio.Event()
    asking = asyncio.create_task(desk.post(POST))
    await desk.log.appending.wait()
    assert not asking.done()
    assert not await desk.service.idle()
    desk.log.gate.set()
    assert (await asking).status_code == 202
    assert await desk.service.idle()


async def test_a_batch_is_answered_item_by_item(desk: Desk) -> None:
    posts, changes = EXAMPLES[:4], EXAMPLES[4:]
    answer = await desk.post(posts)
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [(r["index"], r["status"], len(r["event_ids"])) for r in results] == [
        (0, "accepted", 1),
        (1, "accepted", 1),
        (2, "accepted", 2),
        (3, "accepted", 1),
    ]
    assert len(await desk.stored()) == 5
    changed = (await desk.post(changes)).json()["results"]
    assert [(r["status"], len(r["event_ids"])) for r in changed] == [("accepted", 1)] * len(changes)


async def test_posts_of_one_conversation_keep_their_order(desk: Desk) -> None:
    replies = [post(str(n), kind="reply", root_id="root") for n in range(300)]
    assert (await desk.post(replies)).status_code == 202
    assert [event.post_id for event in await desk.stored()] == [str(n) for n in range(300)]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/ndjson; charset=utf-8"])
async def test_ndjson_is_answered_line_by_line(desk: Desk, kind: str) -> None:
    lines = [json.dumps(post("1")), "", "{broken", json.dumps(post("2"))]
    answer = await desk.post("\n".join(lines).encode(), kind)
    assert answer.status_code == 202
    first, broken, last = answer.json()["results"]
    assert (first["status"], last["status"], last["index"]) == ("accepted", "accepted", 2)
    assert broken["error"]["code"] == "not_json"
    assert broken["error"]["message"].startswith("line 3, column 2")
    assert {event.post_id for event in await desk.stored()} == {"1", "2"}


@pytest.mark.parametrize(
    ("bad", "code", "field"),
    [
        (post("b", colour="red"), "unknown_field", "colour"),
        (post("b", text="x" * 900_000), "too_long", "text"),
        (post("b", text="x" * 1_000_000), "too_large", None),
        (post("b", brands=["nobody"]), "unknown_brand", "brands.0"),
        (post("b", platform_at="2026-05-01T13:30:00Z"), "bad_time", "platform_at"),
        (post("b", platform_at="-4.4e-251"), "bad_time", "platform_at"),
        (post("b", platform_at=1_777_000_000), "bad_time", "platform_at"),
        (post("b", platform_at="0000-01-01T00:00:00Z"), "bad_time", "platform_at"),
        (post("b", kind="reply"), "missing", "parent_id"),
        (post("b", kind="counters", counters={"views": float("nan")}), "wrong_type", "counters.views"),
        (post("b" * 201), "too_long", "post_id"),
        ([], "wrong_type", None),
    ],
)
async def test_a_bad_item_never_loses_others(desk: Desk, bad: Any, code: str, field: str | None) -> None:
    answer = await desk.post(json.dumps([post("a"), bad, post("c")]).encode())
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [r["status"] for r in results] == ["accepted", "rejected", "accepted"]
    assert (results[1]["error"]["code"], results[1]["error"]["field"]) == (code, field)
    assert {event.post_id for event in await desk.stored()} == {"a", "c"}
    assert desk.counted("posts_rejected_total", reason=code) == 1
    assert desk.counted("posts_accepted_total", kind="original") == 2
    assert desk.counted("requests_total", outcome="partial") == 1


async def test_an_unknown_brand_is_told_which_there_are(desk: Desk) -> None:
    (result,) = (await desk.post(post("1", brands=["nobody"]))).json()["results"]
    assert "configured are acme, other" in result["error"]["message"]


@pytest.mark.parametrize("body", [post("1", kind="reply"), [post("1", kind="reply"), 17]])
async def test_422_when_every_item_is_bad(desk: Desk, body: Any) -> None:
    answer = await desk.post(body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert all(result["status"] == "rejected" for result in problem["results"])
    assert await desk.stored() == []
    assert desk.log.appends == []


async def test_a_repeated_post_is_accepted_with_the_same_ids(desk: Desk) -> None:
    answers = [await desk.post([POST, POST]), await desk.post(POST)]
    ids = [result["event_ids"] for answer in answers for result in answer.json()["results"]]
    assert len(ids) == 3
    assert ids[0] == ids[1] == ids[2]


async def test_a_quote_is_stored_in_both_conversations(desk: Desk) -> None:
    answer = await desk.post(post("9", kind="quote", quote_of={"post_id": "5", "root_id": "4"}))
    (result,) = answer.json()["results"]
    assert len(set(result["event_ids"])) == 2
    assert {(e.conversation, e.home) for e in await desk.stored()} == {("x:9", "x:9"), ("x:4", "x:9")}


async def test_gzip_is_read(desk: Desk) -> None:
    body = gzip.compress(json.dumps([POST] * 3).encode())
    answer = await desk.post(body, **{"content-encoding": "gzip"})
    assert (answer.status_code, len(answer.json()["results"])) == (202, 3)


async def test_json_without_a_content_type_is_read_by_its_first_byte(desk: Desk) -> None:
    assert (await desk.post(json.dumps(POST).encode(), None)).status_code == 202
    assert (await desk.post(b" \n" + json.dumps([POST]).encode(), None)).status_code == 202


async def test_many_clients_at_once_lose_nothing(desk: Desk) -> None:
    bodies = [[post(f"{client}-{n}") for n in range(20)] for client in range(20)]
    answers = await asyncio.gather(*(desk.post(body) for body in bodies))
    assert {answer.status_code for answer in answers} == {202}
    assert len({event.post_id for event in await desk.stored()}) == 400
    assert desk.counted("events_appended_total") == 400
    assert desk.counted("requests_in_flight") == 0
    assert desk.counted("bytes_in_flight") == 0


async def test_brands_are_counted_by_why_they_were_found(desk: Desk) -> None:
    await desk.post(
        [post("1"), post("2", text="@acmeair!"), post("3", text="#acmefail"), post("4", text="Acme Air Force")]
    )
    counts = {why: desk.counted("brand_mentions_total", why=why) for why in ("name", "handle", "hashtag", "declared")}
    assert counts == {"name": 1, "handle": 1, "hashtag": 1, "declared": 0}


async def test_a_claimed_time_that_is_not_believed_is_counted_and_loses_nothing(desk: Desk) -> None:
    assert (await desk.post(post("1", created_at="2027-01-01T00:00:00Z"))).status_code == 202
    assert desk.counted("claimed_times_dropped_total") == 1
    assert desk.counted("claims_ignored_total", field="created_at") == 1


async def test_a_cosmetic_field_never_refuses_a_complaint_and_is_named_and_counted(desk: Desk) -> None:
    odd = post(
        "2",
        created_at="1970-01-01T00:00:00Z",
        language="xx-klingon",
        permalink="example",
        author={"id": "1", "followers": -1, "verified": "yes"},
    )
    answer = await desk.post([post("1"), odd, post("3", text="[deleted]"), post("")])
    assert answer.status_code == 202
    plain, reduced, empty, refused = answer.json()["results"]
    fields = {"created_at", "language", "permalink", "author.followers", "author.verified"}
    assert {claim["field"] for claim in reduced["ignored"]} == fields
    assert all(claim["why"] for claim in reduced["ignored"])
    assert [claim["field"] for claim in empty["ignored"]] == ["text"]
    assert "ignored" not in plain
    assert (refused["status"], refused["error"]["field"]) == ("rejected", "post_id")
    assert {field: desk.counted("claims_ignored_total", field=field) for field in fields} == dict.fromkeys(fields, 1)
    assert desk.counted("claims_ignored_total", field="reply_link") == 0
    stored = {event.post_id: event for event in await desk.stored()}
    assert (stored["2"].text, stored["2"].brands, stored["3"].text) == ("Acme Air lost my bag", ("acme",), None)
