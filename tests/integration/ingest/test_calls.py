"""Networks call a source: through the whole service over a real log, what they said is stored before they are answered."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ingest.sources.secrets import PREFIX
from services.config.current import CurrentConfig
from services.config.loading import parse
from services.contracts.codec import decode
from services.contracts.post import PostKind, PostObserved, SourceCoverage
from services.contracts.topics import POSTS, SOURCES
from services.eventlog.base import Unavailable
from tests.integration.ingest.desk import NOW, Desk, desk_at
from tests.unit.ingest.sources.calls import SECRETS, from_meta, hexed, of_page
from tests.unit.ingest.sources.test_meta import COMMENT
from tests.unit.ingest.sources.test_webhooks import VENDOR

CONFIG = """
brands:
  - id: acme
    name: Acme Air
    accounts: [{network: facebook, handle: acmeair, owner: care}, {network: x, handle: acmeair, owner: care}]
sources:
  - network: facebook
    listen:
      - {kind: meta, name: our-page, object: page, accounts: {"100": acmeair}, silence_seconds: 3600}
  - network: forum
    listen:
      - kind: webhook
        name: vendor
        signing: {scheme: hmac, header: X-Sig}
        only: event == 'comment.created'
        mapping:
          items: comments
          fields: {post_id: id, text: body, author.id: user.uid}
          always: {kind: reply, root_id: "77", brands: [acme]}
      - {kind: cloudevents, name: closed}
"""
VENDOR_SECRET = "the-secret-of-the-vendor"


def with_secrets(environment: pytest.MonkeyPatch) -> None:
    for name in ("app_secret", "verify_token"):
        environment.setenv(f"{PREFIX}OUR_PAGE_{name.upper()}", SECRETS[name])
    environment.setenv(f"{PREFIX}VENDOR_SECRET", VENDOR_SECRET)


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    with_secrets(monkeypatch)
    async with desk_at(tmp_path, current=CurrentConfig.of(parse(CONFIG)), max_body_bytes=100_000) as started:
        yield started


async def meta(desk: Desk, *values: Any, **more: Any) -> httpx2.Response:
    body, headers = from_meta(of_page(*values, **more))
    return await desk.client.post("/v1/sources/our-page", content=body, headers=headers)


async def vendor(desk: Desk, body: Any) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await desk.client.post(
        "/v1/sources/vendor", content=content, headers={"X-Sig": hexed(VENDOR_SECRET, content)}
    )


async def events(desk: Desk) -> list[Any]:
    """Every event of the log, with its id."""
    bounds = await desk.log.bounds(POSTS.name)
    batches = [await desk.log.read(POSTS.name, partition, start, 10_000) for partition, (start, _) in bounds.items()]
    return [decode(record.value) for batch in batches for record in batch.records]


async def posts(desk: Desk) -> list[PostObserved]:
    return [one.event for one in await events(desk) if isinstance(one.event, PostObserved)]


async def heartbeats(desk: Desk, connector: str) -> list[SourceCoverage]:
    told = [one.event for one in await events(desk) if isinstance(one.event, SourceCoverage)]
    return [one for one in told if one.connector == connector]


async def test_a_comment_is_in_the_log_when_meta_is_answered(desk: Desk) -> None:
    response = await meta(
        desk, COMMENT, COMMENT | {"comment_id": "7_9", "from": {"id": "100"}, "message": "We are sorry"}
    )
    assert (response.status_code, response.content) == (200, b"")
    (complaint, answer) = sorted(await posts(desk), key=lambda post: post.post_id)
    assert (complaint.conversation, complaint.brands, complaint.author_brand) == ("facebook:100_7", ("acme",), None)
    assert (answer.author_brand, answer.account) == ("acme", "facebook:acmeair")


async def test_a_call_that_comes_twice_has_the_same_ids(desk: Desk) -> None:
    for _ in range(2):
        await meta(desk, COMMENT, COMMENT | {"verb": "edited", "message": "Solved"}, COMMENT | {"verb": "hide"})
    ids = [one.id for one in await events(desk) if isinstance(one.event, PostObserved)]
    assert (len(ids), len(set(ids))) == (6, 3)


async def test_what_comes_in_another_order_is_all_there(desk: Desk) -> None:
    for verb in ("remove", "edited", "add"):
        await meta(desk, COMMENT | {"verb": verb})
    assert [post.kind for post in await posts(desk)] == [PostKind.DELETION, PostKind.EDIT, PostKind.REPLY]
    assert {post.conversation for post in await posts(desk)} == {"facebook:100_7"}


async def test_the_address_is_confirmed_by_the_token(desk: Desk) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": SECRETS["verify_token"], "hub.challenge": "42"}
    assert (await desk.client.get("/v1/sources/our-page", params=query)).text == "42"
    wrong = await desk.client.get("/v1/sources/our-page", params=query | {"hub.verify_token": "guess"})
    assert (wrong.status_code, "42" in wrong.text) == (401, False)


async def test_a_wrong_signature_is_401_without_detail_and_nothing_is_stored(desk: Desk) -> None:
    body, headers = from_meta(of_page(COMMENT), secret="guessed")
    for given in (headers, {}, {"X-Hub-Signature": "sha1=" + hexed(SECRETS["app_secret"], body, "sha1")}):
        response = await desk.client.post("/v1/sources/our-page", content=body, headers=given)
        assert response.status_code == 401
        assert not re.search(r"sha256|app_secret|expected|[0-9a-f]{32}", response.text)
    assert not await posts(desk)
    assert not [beat for beat in await heartbeats(desk, "our-page") if beat.observed_at > NOW]


async def test_a_body_in_any_shape_is_mapped_and_stored(desk: Desk) -> None:
    assert (await vendor(desk, VENDOR)).status_code == 200
    assert [(post.post_id, post.conversation, post.network) for post in await posts(desk)] == [
        (name, "forum:77", "forum") for name in "123"
    ]
    assert (await vendor(desk, VENDOR | {"event": "comment.liked"})).status_code == 200
    assert len(await posts(desk)) == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[" * 90_000, "nested too deeply"),
        ({"event": "comment.created", "comments": [{"body": "no id"}]}, "post_id: this field is required"),
        ({"event": "comment.created", "comments": ["no object"]}, "expected an object"),
        ({"event": "comment.created", "remarks": []}, "expected an object"),
    ],
)
async def test_what_cannot_be_read_is_400_with_what_and_where(desk: Desk, body: Any, words: str) -> None:
    response = await vendor(desk, body)
    assert response.status_code == 400
    assert words in response.json()["detail"]
    assert "no id" not in response.text
    assert not await posts(desk)


async def test_too_large_a_body_is_413(desk: Desk) -> None:
    response = await vendor(desk, VENDOR | {"more": "a" * 100_000})
    assert response.status_code == 413


async def test_while_the_log_is_away_the_network_is_asked_to_come_again_and_nothing_is_lost(desk: Desk) -> None:
    desk.log.append_error = Unavailable("away")
    response = await meta(desk, COMMENT)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    desk.log.append_error = None
    assert (await meta(desk, COMMENT)).status_code == 200
    assert [post.post_id for post in await posts(desk)] == ["7_8"]


async def test_an_answer_waits_until_the_log_has_it(desk: Desk) -> None:
    desk.log.gate = asyncio.Event()
    desk.log.appending.clear()
    waiting = asyncio.create_task(meta(desk, COMMENT))
    await desk.log.appending.wait()
    assert not waiting.done()
    desk.log.gate.set()
    assert (await waiting).status_code == 200


async def test_each_call_promises_the_next_one_and_so_does_the_first_start(desk: Desk) -> None:
    await until(lambda: heartbeats(desk, "our-page"))
    clock: Any = desk.context.clock
    clock.advance(60)
    await meta(desk, COMMENT | {"item": "like"})
    (started, called) = await heartbeats(desk, "our-page")
    assert (started.every_seconds, called.every_seconds) == (3600, 3600)
    assert (called.observed_at - started.observed_at).total_seconds() == 60
    assert (await vendor(desk, VENDOR)).status_code == 200
    assert {beat.every_seconds for beat in await heartbeats(desk, "vendor")} == {None}


async def test_a_stranger_keeps_no_source_alive(desk: Desk) -> None:
    await until(lambda: heartbeats(desk, "our-page"))
    clock: Any = desk.context.clock
    clock.advance(60)
    for method in ("GET", "PUT", "POST"):
        await desk.client.request(method, "/v1/sources/our-page")
    assert (await desk.client.get("/v1/sources/vendor")).status_code == 405
    assert len(await heartbeats(desk, "our-page")) == 1
    assert not [beat for beat in await heartbeats(desk, "vendor") if beat.observed_at > NOW]


async def test_a_new_start_promises_nothing_that_the_first_one_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_secrets(monkeypatch)
    for start in (1, 2):
        async with desk_at(
            tmp_path, current=CurrentConfig.of(parse(CONFIG.replace("- {kind: cloudevents, name: closed}", "")))
        ) as desk:
            await until(lambda desk=desk, start=start: stated(desk, "vendor", start))  # type: ignore[misc]
            await until(lambda desk=desk, start=start: stated(desk, "our-page", start))  # type: ignore[misc]
            assert len(await heartbeats(desk, "our-page")) == 1


async def stated(desk: Desk, name: str, times: int) -> bool:
    """True when it was said so often how this source fares."""
    bounds = await desk.log.bounds(SOURCES.name)
    batches = [await desk.log.read(SOURCES.name, partition, start, 1000) for partition, (start, _) in bounds.items()]
    return sum(record.key == name for batch in batches for record in batch.records) >= times


async def test_a_client_that_is_too_slow_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_secrets(monkeypatch)
    never = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    async with desk_at(tmp_path, current=CurrentConfig.of(parse(CONFIG)), body_timeout_seconds=0.2) as quick:
        response = await quick.client.post("/v1/sources/vendor", content=slowly())
    assert response.status_code == 408


async def test_calls_are_counted_by_what_they_were_answered(desk: Desk) -> None:
    await meta(desk, COMMENT)
    await desk.client.post("/v1/sources/our-page", content=b"{}")
    for status in ("200", "401"):
        labels = {"source": "our-page", "status": status}
        assert desk.context.registry.get_sample_value("firebreak_source_calls_total", labels) == 1


async def test_what_is_left_out_on_purpose_is_counted_by_its_reason(desk: Desk) -> None:
    await meta(desk, COMMENT | {"item": "like"}, COMMENT | {"item": "reaction"})
    labels = {"source": "our-page", "why": "reaction"}
    assert desk.context.registry.get_sample_value("firebreak_source_left_out_total", labels) == 2


async def test_a_source_without_its_secret_asks_the_sender_to_come_again(desk: Desk) -> None:
    response = await desk.client.post("/v1/sources/closed", content=b"{}")
    assert response.status_code == 503
    assert "TOKEN" not in response.text
    assert (await desk.client.post("/v1/sources/nobody", content=b"{}")).status_code == 404


async def until(ask: Callable[[], Awaitable[Any]]) -> None:
    """Wait for a state, as long as a loaded machine may take."""
    async with asyncio.timeout(60):
        while not await ask():
            await asyncio.sleep(0.02)
