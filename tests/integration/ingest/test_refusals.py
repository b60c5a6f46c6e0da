"""What is refused as a whole, with which status, and that nothing was stored then."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
import uvicorn

from services.eventlog.base import Unavailable
from tests.integration.ingest.desk import KEY, POST, Desk, desk_at

RAW = json.dumps(POST).encode()


async def assert_refused(desk: Desk, answer: httpx2.Response, status: int, says: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:firebreak:problem:")
    assert says in problem["detail"]
    assert await desk.stored() == []
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    assert desk.counted("requests_in_flight") == 0
    assert desk.counted("bytes_in_flight") == 0


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong-key-of-some-length", f"Basic {KEY}", f"Bearer {KEY} x", KEY]
)
async def test_without_a_key_of_ours_nothing_is_read(desk: Desk, header: str) -> None:
    answer = await desk.post(RAW, authorization=header)
    await assert_refused(desk, answer, 401, "Bearer")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert KEY not in answer.text


async def test_without_a_configured_key_everybody_is_refused(tmp_path: Path) -> None:
    async with desk_at(tmp_path, api_keys="") as desk:
        await assert_refused(desk, await desk.post(RAW), 401, "has no API keys configured")


async def test_keys_never_reach_the_log(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as lines:
        async with desk_at(tmp_path) as desk:
            desk.log.append_error = RuntimeError("odd")
            await desk.post(RAW)
            await desk.post(RAW, authorization="Bearer something-presented")
    assert lines
    assert KEY not in repr(lines)
    assert "something-presented" not in repr(lines)


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"", "application/json", "empty"),
        (b"[]", "application/json", "no post"),
        (b"\n\n", "application/x-ndjson", "no post"),
        (b'{"network":\n oops', "application/json", "line 2, column 2"),
        (RAW + b"\n" + RAW, "application/json", "NDJSON"),
        (b"[" * 1_000_000, "application/json", "column 2"),
    ],
)
async def test_a_body_that_is_no_json_is_refused_with_the_place(desk: Desk, body: bytes, kind: str, says: str) -> None:
    await assert_refused(desk, await desk.post(body, kind), 400, says)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/json; charset=latin-1", "nonsense"])
async def test_other_content_types_are_refused(desk: Desk, kind: str) -> None:
    answer = await desk.post(RAW, kind)
    await assert_refused(desk, answer, 415, "application/x-ndjson")
    assert "application/json" in answer.headers["accept-post"]


async def test_other_encodings_are_refused(desk: Desk) -> None:
    answer = await desk.post(RAW, **{"content-encoding": "br"})
    await assert_refused(desk, answer, 415, "gzip")
    assert answer.headers["accept-encoding"] == "gzip"


async def test_damaged_gzip_is_refused(desk: Desk) -> None:
    await assert_refused(desk, await desk.post(RAW, **{"content-encoding": "gzip"}), 400, "gzip")


class Endless:
    """A body that says nothing of its length, and counts what was taken of it."""

    def __init__(self, chunk: bytes, times: int) -> None:
        self.chunk = chunk
        self.times = times
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.times):
            self.taken += len(self.chunk)
            yield self.chunk


async def test_ten_megabytes_are_refused_by_what_comes_and_not_by_what_was_said(desk: Desk) -> None:
    endless = Endless(b" " * 100_000, 100)
    await assert_refused(desk, await desk.post(endless), 413, "5000000 bytes")
    lying = Endless(b" " * 100_000, 100)
    await assert_refused(desk, await desk.post(lying, **{"content-length": "10"}), 413, "5000000 bytes")


async def test_the_413_reaches_a_client_that_is_still_sending(desk: Desk) -> None:
    app = desk.client._transport.app  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as door:
        serving = asyncio.create_task(server.serve(sockets=[door]))
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=address, headers=desk.client.headers) as client:
            for body in (Endless(b" " * 100_000, 200), b" " * 10_000_000):
                answer = await client.post("/v1/posts", content=body, headers={"content-type": "application/json"})
                await assert_refused(desk, answer, 413, "5000000 bytes")
        server.should_exit = True
        await serving


async def test_a_body_that_says_it_is_too_large_is_not_read(desk: Desk) -> None:
    endless = Endless(b" " * 100_000, 100)
    await assert_refused(desk, await desk.post(endless, **{"content-length": "10000000"}), 413, "5000000 bytes")


async def test_a_gzip_bomb_is_refused(desk: Desk) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    await assert_refused(desk, await desk.post(bomb, **{"content-encoding": "gzip"}), 413, "after decompression")


async def test_too_many_posts_are_refused(desk: Desk) -> None:
    await assert_refused(desk, await desk.post([POST] * 1001), 413, "1000 posts")


async def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.sleep(3600)

    async with desk_at(tmp_path, body_timeout_seconds=0.05) as desk:
        app = desk.client._transport.app  # type: ignore[attr-defined]
        sent: list[Any] = []
        chunks = silent()

        async def receive() -> Any:
            return {"type": "http.request", "body": await anext(chunks), "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(_scope(), receive, send)
        assert sent[0]["status"] == 408
        assert desk.counted("requests_in_flight") == 0


async def test_a_client_that_goes_away_leaves_nothing_behind(desk: Desk) -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        return

    await desk.client._transport.app(_scope(), receive, send)  # type: ignore[attr-defined]
    assert desk.counted("requests_total", outcome="disconnected") == 1
    assert desk.counted("requests_in_flight") == 0
    assert await desk.stored() == []


def _scope() -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/posts",
        "raw_path": b"/v1/posts",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


async def test_a_key_over_its_rate_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with desk_at(tmp_path, key_posts_per_second=0.1, key_posts_burst=3) as desk:
        refused = await desk.post([POST] * 5)
        assert refused.status_code == 202  # more than the burst, and owed
        answer = await desk.post([POST])
        assert answer.status_code == 429
        assert 10 <= int(answer.headers["retry-after"]) <= 20
        assert len(await desk.stored()) == 5
        assert desk.counted("shed_total", reason="rate") == 1
        assert desk.counted("requests_total", outcome="limited") == 1


async def test_a_malformed_body_costs_a_token_too(tmp_path: Path) -> None:
    async with desk_at(tmp_path, key_posts_per_second=0.001, key_posts_burst=1) as desk:
        assert (await desk.post(b"oops")).status_code == 400
        await assert_refused(desk, await desk.post(b"oops"), 429, "posts a second")


async def test_a_body_costs_its_key_what_it_takes_to_read_however_few_posts_it_holds(tmp_path: Path) -> None:
    async with desk_at(tmp_path, key_posts_per_second=1, key_posts_burst=100) as desk:
        body = json.dumps({f"k{n}": n for n in range(40_000)}).encode()
        refused = await desk.post(body)
        assert refused.status_code == 422
        assert refused.json()["results"][0]["error"]["message"] == "there is no such field (and 40002 more)"
        answer = await desk.post(RAW)
        await assert_refused(desk, answer, 429, "posts a second")
        assert int(answer.headers["retry-after"]) > 300


async def test_a_large_body_is_read_while_the_loop_does_other_things(desk: Desk) -> None:
    line = json.dumps({**POST, **{f"k{n}": n for n in range(400)}}).encode()
    posting = asyncio.create_task(desk.post(b"\n".join([line] * 900), "application/x-ndjson"))
    turns = 0
    while not posting.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert (await posting).status_code == 422
    assert turns > 10, "on the loop it would have had one turn or two"


async def test_posts_are_shed_while_the_scorer_is_too_far_behind(tmp_path: Path) -> None:
    async with desk_at(tmp_path, shed_above_lag=10) as desk:
        desk.log.lag_now = 11
        await desk.look_at_the_log()
        await assert_refused(desk, await desk.post(RAW), 503, "11 records behind")
        assert desk.counted("shed_total", reason="scorer_lag") == 1
        assert desk.service.ready().ok
        desk.log.lag_now = 10
        await desk.look_at_the_log()
        assert (await desk.post(RAW)).status_code == 202


async def test_requests_and_bytes_in_flight_are_bounded(tmp_path: Path) -> None:
    async with desk_at(tmp_path, max_requests_in_flight=1, max_bytes_in_flight=2000) as desk:
        await assert_refused(desk, await desk.post(b" " * 3000), 503, "bytes are in flight")
        desk.log.gate = asyncio.Event()
        asking = asyncio.create_task(desk.post(RAW))
        await desk.log.appending.wait()
        crowded = await desk.post(RAW)
        assert (crowded.status_code, crowded.json()["detail"]) == (503, "1 requests are in flight")
        desk.log.gate.set()
        assert (await asking).status_code == 202


async def _away(desk: Desk) -> None:
    desk.log.append_error = Unavailable("no broker")


async def _silent(desk: Desk) -> None:
    desk.log.gate = asyncio.Event()


@pytest.mark.parametrize("trouble", [_away, _silent])
async def test_a_log_that_is_away_or_slow_is_said_to_be_so(
    tmp_path: Path, trouble: Callable[[Desk], Awaitable[None]]
) -> None:
    async with desk_at(tmp_path, append_timeout_seconds=0.05) as desk:
        await trouble(desk)
        await assert_refused(desk, await desk.post(RAW), 503, "the event log cannot be reached")
        await assert_refused(desk, await desk.post(RAW), 503, "the event log cannot be reached")
        assert desk.counted("shed_total", reason="log_away") == 2
        assert desk.service.live().ok
        desk.log.append_error = None
        if desk.log.gate is not None:
            assert desk.log.appends == [1]
            assert not desk.service.ready().ok
            assert not await desk.service.idle()
            desk.log.gate.set()
            await desk.service._endpoint.publisher.close(asyncio.get_running_loop().time() + 5)
        assert (await desk.post(RAW)).status_code == 202


async def test_an_error_of_ours_is_a_problem_without_details_and_the_next_request_is_served(desk: Desk) -> None:
    desk.log.append_error = RuntimeError("secret detail")
    answer = await desk.post(RAW)
    await assert_refused(desk, answer, 500, "log has the details")
    assert "secret" not in answer.text
    desk.log.append_error = None
    assert (await desk.post(RAW)).status_code == 202


async def test_other_methods_and_paths_are_refused(desk: Desk) -> None:
    assert (await desk.client.get("/v1/posts")).status_code == 405
    assert (await desk.client.post("/v1/post")).status_code == 404
