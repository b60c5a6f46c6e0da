"""Sends recorded posts again: NDJSON as the ingest API takes it, or public cascades, in their order and at their pace."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.base.clock import Clock, RealClock, ScaledClock, epoch, moment
from services.base.errors import ConfigError
from services.base.settings import Settings
from services.base.terminal import console, say
from services.config.loading import load
from services.config.model import Brand, Config
from services.tools.drills.installation import Installation
from services.tools.drills.player import Keys
from services.tools.words import counted

BATCH: Final = 500
KEY: Final = "FIREBREAK_REPLAY_KEY"
TICK_SECONDS: Final = 0.25
Timed = tuple[float, dict[str, Any]]


def replay(
    file: Path, settings: Settings, *, speed: float, to: str | None, limit: int | None, brand: str | None
) -> None:
    posts = read(file, limit, brand or "replayed")
    say(
        "{} over {} h of story time, {} times as fast",
        counted(len(posts), "post"),
        format((posts[-1][0] - posts[0][0]) / 3600, ".1f"),
        format(speed, "g"),
    )
    asyncio.run(
        _to_running(posts, to, speed) if to is not None else _to_own(posts, settings, speed, brand or "replayed")
    )


def read(file: Path, limit: int | None, brand: str) -> list[Timed]:
    """Returns (seconds since the first, post) in order of time. Raises `ConfigError` with the line that cannot be read."""
    lines = list(itertools.islice(_lines(file), limit))
    if not lines:
        raise ConfigError(f"{file}: it is empty")
    cascades = "cascade_id" in lines[0][1]
    timed: list[Timed] = []
    for number, line in lines:
        try:
            timed += _cascade(line, brand) if cascades else [_post(line)]
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{file}:{number}: neither a post nor a cascade: {error!r}") from error
    first = min(at for at, _ in timed)
    return sorted(((at - first, post) for at, post in timed), key=lambda pair: pair[0])


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                if line.strip():
                    try:
                        yield number, json.loads(line)
                    except (ValueError, RecursionError) as error:
                        raise ConfigError(f"{file}:{number}: not JSON: {error}") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error


def _post(line: dict[str, Any]) -> Timed:
    stamp = line.get("platform_at") or line.get("created_at")
    if stamp is None:
        raise ValueError("a post without platform_at or created_at has no place in time")
    return epoch(datetime.fromisoformat(stamp)), line


def _cascade(line: dict[str, Any], brand: str) -> Iterator[Timed]:
    """`{"cascade_id", "root_time", "text", "events": [[delay_seconds, followers or null, kind], ...]}`, the root first.
    Cascades without a root time begin together. A cascade without a text is given the brand, so that it is about one."""
    root = str(line["cascade_id"])
    begins = float(line.get("root_time") or 0.0)
    for number, (delay, followers, kind) in enumerate(line["events"]):
        post: dict[str, Any] = {
            "network": "replay",
            "post_id": root if number == 0 else f"{root}-{number}",
            "kind": "original" if number == 0 else "reply" if kind.startswith("reply") else "repost",
            "author": {"id": f"{root}-{number}", "followers": None if followers is None else int(followers)},
        }
        if number == 0:
            post |= {"text": line.get("text"), "brands": [brand]}
        else:
            post |= {"root_id": root, "parent_id": root}
        yield begins + float(delay), post


async def _to_own(posts: list[Timed], settings: Settings, speed: float, brand: str) -> None:
    """Replay through an installation of its own, with the operator's configuration if there is one, or else with a brand that
    is made for the replay."""
    config = load(settings.config) if settings.config.exists() else Config(brands=(Brand(id=brand, name=brand),))
    keys = Keys.fresh()
    begin = time.time()
    environment = {
        **keys.environment(),
        "FIREBREAK_LOG": settings.log,
        "FIREBREAK_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FIREBREAK_CLOCK_BEGIN": repr(begin),
        "FIREBREAK_CLOCK_ORIGIN": repr(begin),
        "FIREBREAK_CLOCK_SPEED": repr(speed),
        "FIREBREAK_KEY_POSTS_PER_SECOND": "1000000",
        "FIREBREAK_KEY_POSTS_BURST": "1000000",
    }
    with tempfile.TemporaryDirectory(prefix="firebreak-replay-") as directory:
        installation = Installation(Path(directory), config, environment)
        try:
            await installation.start()
            url = installation.url("ingest")
            await _send(posts, url, keys.post, ScaledClock(moment(begin), speed, begin))
            await installation.idle()
            await _incidents(installation.url("alerter"), keys.admin)
        finally:
            await installation.stop()


async def _to_running(posts: list[Timed], url: str, speed: float) -> None:
    key = os.environ.get(KEY, "")
    if not key:
        raise ConfigError(f"set {KEY} to a key that is allowed to post")
    clock: Clock = RealClock() if speed == 1 else ScaledClock(datetime.now(UTC), speed)
    await _send(posts, url, key, clock)


async def _send(posts: list[Timed], url: str, key: str, clock: Clock) -> None:
    begin = clock.now()
    accepted = rejected = 0
    first: str | None = None
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TextColumn("posts"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("replay", total=len(posts))
        async with httpx2.AsyncClient(timeout=30) as client:
            place = 0
            while place < len(posts):
                now = (clock.now() - begin).total_seconds()
                due = [pair for pair in posts[place : place + BATCH] if pair[0] <= now]
                if not due:
                    await asyncio.sleep(min(TICK_SECONDS, clock.real_seconds(posts[place][0] - now)))
                    continue
                body = "\n".join(json.dumps(_stamped(post, begin + timedelta(seconds=at))) for at, post in due)
                answer = await client.post(
                    f"{url}/v1/posts",
                    content=body.encode(),
                    headers={"authorization": f"Bearer {key}", "content-type": "application/x-ndjson"},
                )
                if answer.status_code in {429, 503}:
                    await asyncio.sleep(min(5.0, float(answer.headers.get("retry-after", "1"))))
                    continue
                if answer.status_code not in {202, 422}:
                    raise ConfigError(f"ingest answered {answer.status_code}: {answer.text[:300]}")
                for result in answer.json()["results"]:
                    accepted += result["status"] == "accepted"
                    if result["status"] != "accepted":
                        rejected += 1
                        first = first or f"post {place + result['index']}: {result['error']['message']}"
                place += len(due)
                progress.update(bar, completed=place)
    console.print(f"{accepted} accepted, {rejected} rejected" + (f" (the first: {first})" if first else ""))


def _stamped(post: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Returns the post at its place in the replay: times of another year make no sense beside a clock that runs now."""
    return {**{k: v for k, v in post.items() if k != "created_at"}, "platform_at": at.isoformat()}


async def _incidents(url: str, key: str) -> None:
    async with httpx2.AsyncClient(timeout=10) as client:
        answer = await client.get(f"{url}/v1/incidents", headers={"authorization": f"Bearer {key}"})
    found = answer.json()["items"] if answer.status_code == 200 else []
    console.print(counted(len(found), "incident"))
    for incident in found:
        say("  SEV{} {}: {}: {}", incident["severity"], incident["state"], incident["title"], incident["reason"])
