"""`POST /v1/coverage`: what connectors report is checked, stored once, and answered item by item."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from services.contracts.codec import decode
from services.contracts.post import SourceCoverage
from services.contracts.topics import POSTS
from tests.integration.ingest.desk import Desk

BEAT: dict[str, Any] = {"network": "x", "connector": "firehose", "state": "healthy", "every_seconds": 60}
GAP: dict[str, Any] = {"network": "x", "connector": "firehose", "state": "gap", "begins": "2026-05-01T10:00:00Z"}


async def report(desk: Desk, content: Any, **headers: str) -> httpx2.Response:
    if isinstance(content, bytes):
        return await desk.client.post(
            "/v1/coverage", content=content, headers={"content-type": "application/json", **headers}
        )
    return await desk.client.post("/v1/coverage", json=content, headers=headers)


async def stored(desk: Desk) -> list[tuple[str, SourceCoverage]]:
    found: list[tuple[str, SourceCoverage]] = []
    for partition in await desk.log.bounds(POSTS.name):
        for record in (await desk.log.read(POSTS.name, partition, 0, 1000)).records:
            envelope = decode(record.value)
            assert isinstance(envelope.event, SourceCoverage)
            found.append((envelope.id, envelope.event))
    return found


async def test_a_heartbeat_and_a_gap_are_on_the_log_when_the_answer_is_202(desk: Desk) -> None:
    answer = await report(desk, [BEAT, GAP, {**GAP, "ends": "2026-05-01T11:00:00Z", "missed": 7, "brands": ["acme"]}])
    assert answer.status_code == 202, answer.text
    assert [one["status"] for one in answer.json()["results"]] == ["accepted"] * 3
    beat, begun, ended = [event for _, event in await stored(desk)]
    assert (beat.state, beat.every_seconds, beat.ends) == ("healthy", 60, beat.observed_at)
    assert (begun.state, begun.ends) == ("gap", None)
    assert (ended.begins, ended.missed, ended.brands) == (begun.begins, 7, ("acme",))


async def test_a_report_that_is_sent_again_has_the_same_id(desk: Desk) -> None:
    for _ in range(2):
        assert (await report(desk, GAP)).status_code == 202
    first, second = [id_ for id_, _ in await stored(desk)]
    assert first == second


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"state": "gone"}, "bad_value", "state"),
        ({"network": "X!"}, "bad_value", "network"),
        ({"begins": None}, "missing", "begins"),
        ({"begins": "2026-05-02T10:00:00Z"}, "bad_time", "begins"),
        ({"ends": "2026-05-01T09:00:00Z"}, "contradiction", "ends"),
        ({"every_seconds": 60}, "contradiction", "every_seconds"),
        ({"brands": ["nobody"]}, "unknown_brand", "brands"),
        ({"more": 1}, "unknown_field", "more"),
        ({"missed": -1}, "out_of_range", "missed"),
    ],
)
async def test_a_bad_report_is_told_what_is_wrong_and_its_neighbour_is_stored(
    desk: Desk, more: dict[str, Any], code: str, field: str
) -> None:
    answer = await report(desk, [{**GAP, **more}, BEAT])
    assert answer.status_code == 202, answer.text
    wrong, right = answer.json()["results"]
    assert (wrong["error"]["code"], wrong["error"]["field"], right["status"]) == (code, field, "accepted")
    assert len(await stored(desk)) == 1
    assert (await report(desk, {**GAP, **more})).status_code == 422


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b"[" * 5000, 400), (b"\xff", 400), (b"7", 422), ([BEAT] * 101, 413)],
)
async def test_a_body_that_is_none_is_refused(desk: Desk, content: Any, status: int) -> None:
    assert (await report(desk, content)).status_code == status
    assert await stored(desk) == []


async def test_whoever_has_no_key_reports_nothing(desk: Desk) -> None:
    assert (await report(desk, BEAT, authorization="Bearer nobody")).status_code == 401
