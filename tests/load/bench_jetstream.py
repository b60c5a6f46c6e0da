"""What it costs to read all of Bluesky for three brands: recorded frames, from bytes to what is passed on, on one core."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ingest.sources.bluesky.hearing import Hearing
from ingest.sources.bluesky.interest import Interest
from ingest.sources.bluesky.jetstream import MOST_AT_ONCE
from ingest.sources.bluesky.memory import StoryMemory
from ingest.sources.bluesky.shapes import read_old_frame
from services.config.loading import parse

RECORDED: Final = Path(__file__).parents[3] / "shared/data/payloads/bluesky_jetstream/events.jsonl"
FRAMES: Final = 300_000
BRANDS: Final = (
    "brands: [{id: a, name: Acme Air}, {id: b, name: Reuters}, {id: c, name: Globex, hashtags: [globexfail]}]"
)


def run() -> dict[str, Any]:
    """CPU seconds per million frames; a full stream is some hundreds of frames a second."""
    if not RECORDED.exists():
        return {"skipped": "the recorded frames are not here"}
    lines = RECORDED.read_bytes().splitlines()
    batch = (lines * (MOST_AT_ONCE // len(lines) + 1))[:MOST_AT_ONCE]
    hearing = Hearing("bluesky", Interest("bluesky", parse(BRANDS).brands), StoryMemory(200_000), lambda *_: None)
    now = datetime.now(UTC)
    passed = 0
    begin = time.process_time()
    for _ in range(FRAMES // len(batch)):
        frames = [frame for line in batch if (frame := read_old_frame(line)) is not None]
        passed += len(hearing.take(frames, now).items)
    spent = time.process_time() - begin
    return {
        "frames": FRAMES,
        "passed on": passed,
        "CPU s per million frames": spent / FRAMES * 1e6,
        "frames per CPU second": FRAMES / spent,
    }
