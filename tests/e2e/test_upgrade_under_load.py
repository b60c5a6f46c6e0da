"""An earlier version was killed under load, one process after the other; the present one starts over what it left while posts
keep coming, and everybody is told everything once.

`tests/fixtures/installation/make_killed.py` made the folders, and says what is in them.
"""

from __future__ import annotations

import asyncio
import json
import tarfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.test_older_data import Life, living
from tests.fixtures.installation.make_killed import (
    APPLIED_BY_NOBODY,
    GARBAGE,
    REPOSTS,
    SCORED_BY_NOBODY,
    brand_of,
    dead_letters,
)
from tests.fixtures.installation.scene import LINE, numbered, repost
from tests.patience import PATIENCE_SECONDS

ARCHIVES: Final = sorted((Path(__file__).parents[1] / "fixtures" / "installation").glob("killed-*.tar.gz"))
NEW: Final = range(40, 60)
LEFT: Final = [f"x:n{number}" for number in (*APPLIED_BY_NOBODY, *SCORED_BY_NOBODY)]
ALL: Final = sorted([*LEFT, *(f"x:n{number}" for number in NEW)])


def opened(life: Life) -> list[str]:
    """The story of each incident that was told as opened, as often as it was."""
    return [str(one.body["data"]["story"]) for one in life.sink.received if one.body["type"] == "incident.opened"]


async def until_all_opened(life: Life) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while set(opened(life)) != set(ALL):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
async def test_an_upgrade_under_load_tells_everything_once(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    manifest: dict[str, Any] = json.loads((tmp_path / "manifest.json").read_text())
    before, aside = manifest["incidents"], dead_letters(tmp_path / "log.db")
    assert len(aside) == 1

    async with living(tmp_path, manifest, minutes_later=1) as life:
        # The client had no answer to its last request when ingest was killed, so it sends that once more; and it goes on.
        late = [numbered(number, brand_of(number)) for number in SCORED_BY_NOBODY]
        await life.call("POST", "/v1/posts", [*late, *(repost("p1", REPOSTS + number) for number in range(5))])
        for number in NEW:
            await life.call("POST", "/v1/posts", [numbered(number, brand_of(number))])
        await until_all_opened(life)

        # What was pending arrives under its old id, and each incident is the same one as before.
        (left,) = manifest["pending"]
        assert (await life.told(lambda one: one.id == left)).body["data"]["id"] == before["bolt"]["id"]
        listed = {one["story"]: one for one in (await life.call("GET", "/v1/incidents?limit=100"))["items"]}
        for old in before.values():
            same = ("id", "state", "severity", "opened_at", "acknowledged_by")
            assert {name: listed[old["story"]][name] for name in same} == {name: old[name] for name in same}

        # Clocks that ran go on running. Each post is waited for once, by itself or as one of some in the same words.
        clocks = (await life.call("GET", "/v1/answer-clocks?state=running&limit=100"))["items"]
        due = {one["post_id"]: datetime.fromisoformat(one["due_at"]) for one in clocks}
        assert sum(1 + one["copies"] for one in clocks) == len(ALL) + len(manifest["clocks"])
        for post_id, at in manifest["clocks"].items():
            assert due[post_id] == datetime.fromisoformat(at)

        # The line is crossed by the reposts that were counted before, those that waited, and these: not by those sent twice.
        fresh = LINE - REPOSTS - 5
        await life.call("POST", "/v1/posts", [repost("p1", 100 + number) for number in range(fresh - 1)])
        await asyncio.wait_for(idle(life), PATIENCE_SECONDS)
        assert await observed(life, before["acme"]["id"]) < LINE
        await life.call("POST", "/v1/posts", [repost("p1", 200), repost("p1", 201)])
        crossed = await life.told(lambda one: one.body["data"].get("state") == "active")
        assert crossed.body["data"]["id"] == before["acme"]["id"]
        await asyncio.wait_for(idle(life), PATIENCE_SECONDS)
        first = list(life.sink.received)
    assert Counter(opened(life)) == Counter(ALL), "each was told once"

    # An hour after they began, the owner of the accounts is told which answers are overdue.
    async with living(tmp_path, manifest, minutes_later=75) as life:
        named: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while set(named) != due.keys():
                digests = [one for one in life.sink.received if one.body["type"] == "answer.due"]
                named = [str(post["post_id"]) for one in digests for post in one.body["data"]["items"]]
                await asyncio.sleep(0.05)
        await asyncio.wait_for(idle(life), PATIENCE_SECONDS)
        assert opened(life) == []
        ids = Counter(one.id for one in (*first, *life.sink.received))
    assert len(named) == len(set(named)), "an overdue answer is told once"
    assert set(ids.values()) == {1}, "nothing was delivered twice"
    assert not ids.keys() & set(manifest["received"])
    assert dead_letters(tmp_path / "log.db") == aside, "what was set aside stays so, and is not set aside again"
    assert GARBAGE not in aside[0], "as bytes in base64"


async def idle(life: Life) -> None:
    """Until nothing is left to do, twice in a row."""
    calm = 0
    while calm < 2:
        calm = calm + 1 if (await life.client.get(f"{life.url}/idlez")).status_code == 200 else 0
        await asyncio.sleep(0.05)


async def observed(life: Life, incident: str) -> int:
    """How many engagements its story has, as far as the incident was told."""
    return int((await life.call("GET", f"/v1/incidents/{incident}"))["outlook"]["observed"])
