"""What following is worth: the shared cascades as posts whose counters must be asked for, followed by equal spacing and by
`ingest.sources.following` with half the calls. How late is it seen that a story has reached a size?

`python -m tests.load.bench_following`; without the shared cascades it says so.
"""

from __future__ import annotations

import gzip
import json
import random
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from ingest.sources.following import Following

DATA: Final = Path("/work/shared/data")
SETS: Final = ("tideh", "liang2021", "twitter15_16")
STORIES: Final = 600
DAY: Final = 86_400.0
ASKED_AT: Final = 5
"""Engagements after which the scorer asks to watch a story."""
SIZES: Final = (20, 50, 100, 200, 500)
CALLS_A_MINUTE: Final = (2.0, 6.0, 30.0)
"""Of equal spacing: far too few for the stories that are alive, few, and enough."""


class Free:
    """A purse without a bottom."""

    def may(self, dollars: float) -> bool:  # noqa: ARG002 - a protocol's
        return True

    def paid(self, dollars: float) -> None: ...

    def share(self) -> float:
        return 1.0


class Follower(Protocol):
    tick_seconds: float

    def follow(self, post: str, asked_at: float, until: float, every_seconds: float, now: float) -> None: ...

    def next_look(self, now: float, spend: Free) -> Any: ...

    def looked(self, asked: Any, totals: dict[str, int], gone: Any, now: float) -> None: ...


class EqualSpacing:
    """Asks about all posts in turn."""

    def __init__(self, calls_a_minute: float) -> None:
        self.tick_seconds = 60.0 / calls_a_minute
        self._turns: deque[tuple[str, float]] = deque()

    def follow(self, post: str, asked_at: float, until: float, every_seconds: float, now: float) -> None:  # noqa: ARG002
        self._turns.append((post, until))

    def next_look(self, now: float, spend: Free) -> list[str]:  # noqa: ARG002
        while self._turns:
            post, until = self._turns.popleft()
            if until > now:
                self._turns.append((post, until))
                return [post]
        return []

    def looked(self, asked: Any, totals: dict[str, int], gone: Any, now: float) -> None: ...


def cascades(folder: Path = DATA) -> Iterator[list[float]]:
    """The times of the engagements of each cascade, within a day of its post."""
    for name in SETS:
        file = folder / f"cascades_{name}" / "cascades.jsonl.gz"
        if not file.exists():
            continue
        with gzip.open(file, "rt") as lines:
            for line in lines:
                times = sorted(float(at) for at, *_ in json.loads(line)["events"][1:] if 0 <= float(at) < DAY)
                if len(times) > ASKED_AT:
                    yield times


def play(follower: Follower, stories: list[list[float]], begins: list[float]) -> dict[str, float]:
    """Two days of stories that begin at `begins`. Returns how many posts were asked about, and how late sizes were seen."""
    coming = sorted(
        (begin + times[ASKED_AT - 1], number) for number, (begin, times) in enumerate(zip(begins, stories, strict=True))
    )
    asked_at = {str(number): at for at, number in coming}
    late: list[float] = []
    seen: dict[str, int] = {}
    asked, now, at = 0, 0.0, 0
    while now < 2 * DAY:
        while at < len(coming) and coming[at][0] <= now:
            begin, number = coming[at]
            follower.follow(str(number), begin, begin + DAY, 60.0, now)
            at += 1
        posts = follower.next_look(now, Free())
        asked += len(posts)
        totals = {post: bisect_right(stories[int(post)], now - begins[int(post)]) for post in posts}
        for post, total in totals.items():
            times, begin = stories[int(post)], begins[int(post)]
            fresh = (size for size in SIZES if seen.get(post, 0) < size <= total)
            late += [now - max(begin + times[size - 1], asked_at[post]) for size in fresh]
            seen[post] = max(seen.get(post, 0), total)
        follower.looked(posts, totals, (), now)
        now += follower.tick_seconds
    reached = sum(bisect_left(SIZES, len(times) + 1) for times in stories)
    late += [DAY] * (reached - len(late))
    late.sort()
    return {
        "looks": asked,
        "sizes_reached": reached,
        "late_seconds_mean": round(sum(late) / len(late), 1),
        "late_seconds_median": round(late[len(late) // 2], 1),
        "late_seconds_p90": round(late[int(0.9 * len(late))], 1),
    }


def compared(calls_a_minute: float, folder: Path = DATA) -> dict[str, dict[str, float]] | None:
    """Equal spacing, and following with half its calls, over the same stories. None without data."""
    every = list(cascades(folder))
    if not every:
        return None
    rng = random.Random(17)
    stories = rng.sample(every, min(STORIES, len(every)))
    begins = [rng.uniform(0, DAY) for _ in stories]
    return {
        "equal_spacing": play(EqualSpacing(calls_a_minute), stories, begins),
        "following": play(Following(1, calls_a_minute / 2, 0.01), stories, begins),
    }


def run() -> dict[str, Any]:
    found = {f"{calls:g} calls a minute": compared(calls) for calls in CALLS_A_MINUTE}
    return {"skipped": "no shared cascades here"} if None in found.values() else dict(found)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
