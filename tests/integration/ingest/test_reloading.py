"""Ingest takes another configuration between two requests, and each request is of one."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from ingest.api import posts_routes
from ingest.brands import BrandBook
from ingest.normalize import Normalizer
from services.config.current import CurrentConfig, Reload
from services.config.file import ConfigFile
from services.config.loading import parse
from tests.integration.ingest.desk import CONFIG, KEY, POST, Desk, desk_at

Change = Callable[[str], Awaitable[None]]
WITHOUT_ACME = """
brands: [{id: other, name: Otherwise Ltd}, {id: new, name: Newcomer}]
sources: [{network: bsky, policy: ids_only}]
"""


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    path = tmp_path / "firebreak.yaml"
    path.write_text(CONFIG)
    async with desk_at(tmp_path, CurrentConfig.from_file(ConfigFile(path, tmp_path))) as started:
        yield started


@pytest.fixture
def changed(desk: Desk, tmp_path: Path) -> Change:
    async def change(text: str) -> None:
        (tmp_path / "firebreak.yaml").write_text(text)
        assert await desk.context.current.reload() is Reload.TAKEN

    return change


async def test_a_brand_is_found_from_the_reload_on_and_one_that_is_gone_no_more(desk: Desk, changed: Change) -> None:
    texts = {"a1": "Acme Air lost my bag", "n1": "Newcomer lost my bag"}
    for name, text in texts.items():
        assert (await desk.post({**POST, "post_id": name, "text": text})).status_code == 202
    await changed(WITHOUT_ACME)
    for name, text in texts.items():
        await desk.post({**POST, "post_id": name.replace("1", "2"), "text": text})
    declared = await desk.post({**POST, "post_id": "3", "brands": ["acme"]})
    assert declared.status_code == 422
    assert "there is no brand 'acme'" in declared.text
    report = {"network": "x", "connector": "c", "state": "gap", "begins": "2026-05-01T10:00:00Z", "brands": ["acme"]}
    assert "no brand 'acme'" in (await desk.client.post("/v1/coverage", json=report)).text
    found = {event.post_id: event.brands for event in await desk.stored()}
    assert found == {"a1": ("acme",), "n1": (), "a2": (), "n2": ("new",)}


async def test_the_terms_of_a_source_hold_from_the_reload_on(desk: Desk, changed: Change) -> None:
    await desk.post(POST)
    await changed(WITHOUT_ACME)
    await desk.post({**POST, "post_id": "2"})
    assert {event.post_id: event.policy.value for event in await desk.stored()} == {
        "1": "ids_only",
        "2": "text_allowed",
    }


class Restless:
    """Another configuration each time that it is asked for."""

    def __init__(self) -> None:
        books = [BrandBook(parse(text).brands) for text in (CONFIG, WITHOUT_ACME)]
        self._each = itertools.cycle(Normalizer(book, {}, 1000) for book in books)

    @property
    def now(self) -> Normalizer:
        return next(self._each)


async def test_one_request_is_of_one_configuration(desk: Desk) -> None:
    normalizer: Any = Restless()
    app = FastAPI()
    app.include_router(posts_routes(replace(desk.service._endpoint, normalizer=normalizer)))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://desk") as client:
        for kind in ("a", "b"):
            posts = [{**POST, "post_id": f"{kind}{number}"} for number in range(5)]
            headers = {"authorization": f"Bearer {KEY}"}
            assert (await client.post("/v1/posts", json=posts, headers=headers)).status_code == 202
    found = {(event.post_id[0], event.brands) for event in await desk.stored()}
    assert found == {("a", ("acme",)), ("b", ())}, "the configuration changed between the two, and only there"


async def test_networks_are_missed_for_as_long_as_the_configuration_names_them(desk: Desk, changed: Change) -> None:
    last = "last_post_timestamp_seconds"
    assert desk.counted(last, network="x") > 0
    assert desk.counted(last, network="bsky") == 0
    await changed(WITHOUT_ACME)
    assert desk.counted(last, network="x") == 0, "a series that stands still would say that the network fell silent"
    assert desk.counted(last, network="bsky") > 0
    await desk.post(POST)
    assert desk.counted(last, network="other") > 0
