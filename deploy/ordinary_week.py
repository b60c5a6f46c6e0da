"""An ordinary week of one large brand, made of real posts: how many people does it wake, and for how many answers does it ask?

`python -m deploy.ordinary_week DATA` reads the public sets below DATA, makes them posts to and about one brand, spreads them
over seven days as people write, with the reposts and replies that ordinary posts get, and plays them through all services on
a clock of their own. Nothing is wrong in this week but what single people complain of, so whatever is told is printed, to be
judged by a person.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gzip
import math
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress

from services.base.terminal import console, say
from services.config.loading import load
from services.config.model import Config
from services.tools.drills.crowd import Action, Night
from services.tools.drills.player import Player, idle, on_manual_clock, serving
from services.tools.drills.script import Script
from services.tools.sink import Sink

SHIPPED: Final = Path(__file__).with_name("firebreak.yaml")
BRAND: Final = "acme-air"
DAYS: Final = 7
DAY: Final = 86_400.0
STEP_SECONDS: Final = 120.0
TO_THE_BRAND: Final = {"airline": "train.csv.gz", "twcs_spotify_inbound": "messages.csv.gz"}
"""Posts that address a brand by its handle."""
ABOUT_THE_BRAND: Final = dict.fromkeys(("brands_sxsw", "sanders", "apple_dfe"), "train.csv.gz")
"""Posts that name a brand."""
OTHER_LANGUAGES: Final = dict.fromkeys(("nusax", "wisesight_thai"), "train.csv.gz")
OTHERS_SHARE: Final = 0.1
ENGAGED_SHARE: Final = 0.35
"""Of all posts: reposts and replies, most of them under the brand's own posts."""
_HANDLE: Final = re.compile(
    r"@\s?(?:united|southwestair|jetblue|usairways|americanair|virginamerica|spotifycares|spotify)\b", re.IGNORECASE
)
_NAME: Final = re.compile(r"@?\b(?:apple|google|microsoft|twitter|united|southwest|jetblue|spotify)\b", re.IGNORECASE)
_OWN_POSTS: Final = (
    "Good morning! Where are you flying today?",
    "New: our summer timetable is out. More flights to the coast",
    "Behind the scenes with the people who load your bags",
    "Win two tickets to anywhere we fly. Tell us where you would go",
    "Tip: check in online from 24 hours before departure",
)
_REPLIES: Final = (
    "Lovely!",
    "Nice, see you on board",
    "Good to know, thanks",
    "Lisbon please",
    "When do tickets go on sale?",
    "😍",
)


def texts(data: Path, sets: dict[str, str], rng: random.Random) -> list[str]:
    """All texts of these sets, shuffled."""
    found = []
    for name, file in sets.items():
        with gzip.open(data / name / file, "rt", encoding="utf-8", newline="") as lines:
            found += [row["text"] for row in csv.DictReader(lines) if row["text"].strip()]
    rng.shuffle(found)
    return found


def week(data: Path, count: int, seed: int) -> list[Action]:
    """The posts of the week, in order of time."""
    rng = random.Random(seed)  # noqa: S311 - a simulation, no secret
    engaged, others = int(count * ENGAGED_SHARE), int(count * OTHERS_SHARE)
    said = [_HANDLE.sub("@acmeair", text) for text in texts(data, TO_THE_BRAND, rng)]
    said += [_NAME.sub("Acme Air", text) for text in texts(data, ABOUT_THE_BRAND, rng)]
    said += [f"@acmeair {text}" for text in texts(data, OTHER_LANGUAGES, rng)[:others]]
    rng.shuffle(said)
    actions = [_post(f"w{n}", _moment(rng), rng, text=text) for n, text in enumerate(said[: count - engaged])]
    actions += _engagement(rng, engaged, actions)
    return sorted(actions, key=lambda action: action.at)


def _engagement(rng: random.Random, count: int, posts: list[Action]) -> Iterator[Action]:
    """What ordinary posts get: a few reposts and replies each, the brand's own more."""
    done = 0
    while done < count:
        size = min(count - done, 80, int(rng.lognormvariate(2.0, 1.0)))
        if rng.random() < 0.25:
            number = f"o{done}"
            own = _post(number, _moment(rng), rng, text=rng.choice(_OWN_POSTS))
            own.post["author"] = {"id": "acmeair", "handle": "acmeair", "followers": 250_000}
            yield own
            root, at, replies = number, own.at, _REPLIES
            done += 1
        else:
            root, at, replies, size = *_some(rng, posts), _REPLIES, size // 4
        for n in range(min(size, count - done)):
            after = at + rng.lognormvariate(math.log(2 * 3600), 1.2)
            done += 1
            if after < DAYS * DAY:
                kind: dict[str, Any] = {"kind": "repost"}
                if rng.random() < 0.3:
                    kind = {"kind": "reply", "text": rng.choice(replies)}
                yield _post(f"e{done}-{n}", after, rng, parent_id=root, root_id=root, **kind)


def _some(rng: random.Random, posts: list[Action]) -> tuple[str, float]:
    post = rng.choice(posts)
    return post.root, post.at


def _moment(rng: random.Random) -> float:
    """A point of time in the week: three in four posts are written by day."""
    while True:
        at = rng.uniform(0, DAYS * DAY)
        if rng.random() < 0.6 + 0.4 * math.sin(2 * math.pi * (at / DAY)):
            return at


def _post(post_id: str, at: float, rng: random.Random, **fields: Any) -> Action:
    followers = int(250 * math.exp(rng.gauss(0, 1.4)))
    post = {
        "network": "x",
        "post_id": post_id,
        "kind": "original",
        "author": {"id": f"a{post_id}", "handle": f"a{post_id}", "followers": followers},
        **fields,
    }
    return Action(at, post_id, post)


def shipped() -> Config:
    """The configuration that ships, with one brand."""
    config = load(SHIPPED)
    return config.model_copy(update={"brands": tuple(brand for brand in config.brands if brand.id == BRAND)})


async def play(actions: list[Action]) -> None:
    config = shipped()
    script = Script(title="an ordinary week", story="", lasts=DAYS * DAY, config=config)
    async with on_manual_clock(config) as (process, clock, keys):
        sink = Sink(clock)
        async with serving(sink) as sink_url:
            player = Player(Night(script, 0, "week"), clock, process.server.url, process.server.url, keys, sink)
            await player.subscribe(sink_url)
            waiting, now = list(reversed(actions)), 0.0
            with Progress(console=console, transient=True) as progress:
                bar = progress.add_task("the week", total=len(actions))
                while now < DAYS * DAY:
                    now += STEP_SECONDS
                    clock.advance((player.begin + timedelta(seconds=now) - clock.now()).total_seconds())
                    due = []
                    while waiting and waiting[-1].at <= now:
                        due.append(waiting.pop())
                    await player.send(due)
                    await idle(process)
                    progress.update(bar, completed=len(actions) - len(waiting))
            _report(sink, process.settings.data / "alerter.db", len(actions))
            await player.close()


def _report(sink: Sink, database: Path, posts: int) -> None:
    opened: dict[str, Any] = {}
    for message in sink.received:
        incident = message.body["data"]
        if message.body["type"] == "incident.opened":
            opened.setdefault(incident["id"], incident)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        clocks = db.execute("SELECT COUNT(*) FROM answer_clocks").fetchone()[0]
        incidents = db.execute("SELECT COUNT(*) FROM incidents").fetchone()[0]
    say(
        "{} posts: {} incidents people were told of, {} in all, {} answer clocks", posts, len(opened), incidents, clocks
    )
    for (severity, rule), number in sorted(Counter((i["severity"], i["rule"]) for i in opened.values()).items()):
        say("  SEV{} by {}: {}", severity, rule, number)
    for incident in opened.values():
        shown = [incident.get("root"), incident.get("driver"), *incident.get("exemplars", ())]
        text = next((post["text"] for post in shown if post and post["text"]), "")
        say("SEV{} {}: {}", incident["severity"], incident["reason"], text[:200])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.ordinary_week", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--posts", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asyncio.run(play(week(asked.data, asked.posts, asked.seed)))


if __name__ == "__main__":
    main()
