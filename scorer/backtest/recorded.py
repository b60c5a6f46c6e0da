"""Reads recorded cascades: JSON, one cascade in each line, gzipped or not.

    {"cascade_id": "...", "root_time": 1550764535.6 or null, "events": [[delay_seconds, followers or null, kind], ...]}

The root comes first, with delay 0. Kinds are post, repost or retweet, quote and reply. `network` (or else `source_dataset`) is
optional: probabilities are corrected by the stories of the same network. Other fields are ignored.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from scorer.virality.cascade import Cascade
from services.base.errors import FirebreakError

BRAND: Final = "brand"
EPOCH: Final = 1_500_000_000.0
"""The root time of a cascade that was recorded without one: only differences matter."""


class Event(msgspec.Struct, array_like=True):
    """One engagement, `delay` seconds after the root. The first event is the root itself, of kind `post`."""

    delay: float
    followers: int | None
    kind: str


class Recorded(msgspec.Struct):
    """One cascade, with its events sorted by delay."""

    cascade_id: str
    events: list[Event]
    source_dataset: str = ""
    root_time: float | None = None
    network: str = ""

    def size_within(self, seconds: float) -> int:
        """The number of engagements up to `seconds` after the root, which does not count."""
        return sum(event.delay <= seconds for event in self.events[1:])

    def crossing(self, line: int, horizon: float) -> float | None:
        """How many seconds after the root the `line`-th engagement came; `None` if it did not come within the horizon."""
        if len(self.events) <= line:
            return None
        delay = self.events[line].delay
        return delay if delay <= horizon else None


def read(paths: Iterable[Path]) -> Iterator[Recorded]:
    """Yields the cascades of all files. Raises `FirebreakError` naming the file and line that cannot be read."""
    decoder = msgspec.json.Decoder(Recorded)
    for path in paths:
        if not path.exists():
            raise FirebreakError(f"there is no file {path}")
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    recorded = decoder.decode(line)
                except (msgspec.MsgspecError, RecursionError) as error:
                    raise FirebreakError(f"{path}, line {number}: {error}") from error
                recorded.events.sort(key=lambda event: event.delay)
                if recorded.events:
                    yield recorded


def kind_of(recorded: str) -> str:
    """The kind of engagement (`repost`, `quote`, `reply`) that a recorded word stands for."""
    if recorded.startswith("reply"):
        return "reply"
    return "quote" if recorded.startswith("quote") else "repost"


def opened(recorded: Recorded, begin: float) -> Cascade:
    """A cascade that begins at `begin`, with its root folded in."""
    network = recorded.network or recorded.source_dataset or "recorded"
    cascade = Cascade(story=recorded.cascade_id, network=network, brands=[BRAND])
    cascade.add_root(begin, recorded.events[0].followers, velocity=True)
    return cascade
