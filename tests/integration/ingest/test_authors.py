"""`POST /v1/authors`: who is gone or back is told to every partition, under the same id whenever it is sent again."""

from __future__ import annotations

from typing import Any

import pytest

from services.contracts.codec import decode
from services.contracts.post import AuthorChanged
from services.contracts.topics import POSTS
from tests.integration.ingest.desk import Desk

ERASED: dict[str, Any] = {"network": "x", "author_id": "4711", "state": "erased"}


async def stored(desk: Desk) -> dict[int, list[tuple[str, AuthorChanged]]]:
    found: dict[int, list[tuple[str, AuthorChanged]]] = {}
    for partition in await desk.log.bounds(POSTS.name):
        envelopes = [decode(record.value) for record in (await desk.log.read(POSTS.name, partition, 0, 1000)).records]
        assert all(isinstance(envelope.event, AuthorChanged) for envelope in envelopes)
        found[partition] = [(envelope.id, envelope.event) for envelope in envelopes]  # type: ignore[misc]
    return found


async def test_every_partition_has_the_erasure_when_the_answer_is_202(desk: Desk) -> None:
    answer = await desk.client.post("/v1/authors", json={**ERASED, "at": "2026-05-01T10:00:00Z"})
    assert answer.status_code == 202, answer.text
    (id_,) = answer.json()["results"][0]["event_ids"]
    copies = await stored(desk)
    assert len(copies) > 1
    for (one,) in copies.values():
        assert (one[0], one[1].author_id, one[1].state) == (id_, "4711", "erased")


async def test_a_report_that_is_sent_again_has_the_same_id_and_another_state_another(desk: Desk) -> None:
    lines = "\n".join(
        f'{{"network": "x", "author_id": "4711", "state": "{state}"}}' for state in ("erased", "erased", "reinstated")
    )
    answer = await desk.client.post("/v1/authors", content=lines, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 202, answer.text
    first, again, back = [result["event_ids"] for result in answer.json()["results"]]
    assert first == again != back


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"state": "gone"}, "bad_value", "state"),
        ({"author_id": ""}, "bad_value", "author_id"),
        ({"author_id": None}, "wrong_type", "author_id"),
        ({"network": "X!"}, "bad_value", "network"),
        ({"at": "2999-05-02T10:00:00Z"}, "bad_time", "at"),
        ({"handle": "mia"}, "unknown_field", "handle"),
    ],
)
async def test_a_report_that_cannot_be_is_rejected_with_its_reason(
    desk: Desk, more: dict[str, Any], code: str, field: str
) -> None:
    answer = await desk.client.post("/v1/authors", json=[ERASED, {**ERASED, **more}])
    assert answer.status_code == 202
    error = answer.json()["results"][1]["error"]
    assert (error["code"], error["field"]) == (code, field)


async def test_a_stranger_reports_nothing(desk: Desk) -> None:
    answer = await desk.client.post("/v1/authors", json=ERASED, headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert not any((await stored(desk)).values())


async def test_more_reports_than_one_request_may_carry_are_refused_as_a_whole(desk: Desk) -> None:
    answer = await desk.client.post("/v1/authors", json=[ERASED] * 1_001)
    assert answer.status_code == 413
    assert not any((await stored(desk)).values())
