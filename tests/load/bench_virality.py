"""What the forecaster costs: one engagement folded and, where due, forecast; bytes of a cascade; a million of them alive."""

from __future__ import annotations

import os
import random
import time
from typing import Any, Final

import msgspec
import psutil

from scorer.lane_state import LaneState
from scorer.recalibration_state import RecalibrationState
from scorer.seen import SeenEvents
from scorer.virality.automation import TEXTS
from scorer.virality.cards import Card
from scorer.virality.cascade import Cascade
from scorer.virality.forecast import has_evidence, moved_enough, worth_a_forecast
from scorer.virality.learned import shipped
from services.contracts.signal import Line

BEGIN: Final = 1_700_000_000.0
HORIZON: Final = 72 * 3600.0
LINE: Final = Line(engagements=500)
CASCADES: Final = 1_000
ALIVE: Final = int(os.environ.get("FIREBREAK_BENCH_CASCADES", "1000000"))


def grown(number: int, size: int, rng: random.Random, seen: SeenEvents) -> Cascade:
    cascade = Cascade(story=f"x:{number}", network="x", brands=["acme"])
    cascade.add_root(BEGIN, 300, velocity=True)
    for at in sorted(rng.lognormvariate(8.0, 1.2) for _ in range(size)):
        seen.remember(cascade.story, cascade, rng.randbytes(8))
        cascade.add_engagement("repost", BEGIN + at, rng.randrange(2000), human=True, velocity=True)
    return cascade


def events_a_second(size: int) -> dict[str, float]:
    """Cascades of `size` engagements each, every one looked at as the pipeline does."""
    rng = random.Random(size)
    forecaster, known = shipped(), RecalibrationState()
    plays = [
        sorted(rng.lognormvariate(8.0, 1.2) for _ in range(size)) for _ in range(max(4, CASCADES * 50 // (50 + size)))
    ]
    looks = whole = 0
    began = time.perf_counter()
    for number, play in enumerate(plays):
        cascade = Cascade(story=f"x:{number}", network="x", brands=["acme"])
        cascade.add_root(BEGIN, 300, velocity=True)
        for delay in play:
            now = BEGIN + delay
            cascade.add_engagement("repost", now, 300, human=True, velocity=True)
            if has_evidence(cascade) and moved_enough(cascade, now):
                said = forecaster.probability(cascade, LINE, now, HORIZON)
                known.follow(cascade, "acme", LINE, said)
                probability = known.probability(cascade, LINE, said)
                cascade.looked = (cascade.engagements, cascade.everyone.reach, now, probability)
                looks += 1
                if worth_a_forecast(probability, None):
                    known.prediction(cascade, LINE, forecaster.predict(cascade, LINE, now, HORIZON))
                    whole += 1
    took = time.perf_counter() - began
    events = size * len(plays)
    return {"microseconds": 1e6 * took / events, "looks": looks / events, "whole": whole / events}


def run() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for size in (20, 50, 500, 5_000):
        cost = events_a_second(size)
        found[f"us an engagement, cascades of {size}"] = cost["microseconds"]
        found[f"looks an engagement, cascades of {size}"] = cost["looks"]
    forecaster = shipped()
    rng = random.Random(0)
    cascade = grown(1, 200, rng, SeenEvents())
    for name, call in (
        ("us a probability", lambda: forecaster.probability(cascade, LINE, cascade.newest + 1, HORIZON)),
        ("us a whole forecast", lambda: forecaster.predict(cascade, LINE, cascade.newest + 1, HORIZON)),
    ):
        began = time.perf_counter()
        for _ in range(2_000):
            call()
        found[name] = (time.perf_counter() - began) / 2_000 * 1e6
    for size in (5, 50, 500, 50_000):
        found[f"bytes of a cascade with {size} engagements"] = len(
            msgspec.msgpack.encode(grown(size, size, rng, SeenEvents()))
        )
    talked = grown(500, 500, rng, SeenEvents())
    for _text in range(TEXTS):
        talked.remember_text(" ".join(f"word{rng.randrange(10_000)}" for _ in range(20)))
    found["bytes of one with 500 whose texts were read"] = len(msgspec.msgpack.encode(talked))
    found |= million(rng)
    return found


def million(rng: random.Random) -> dict[str, Any]:
    """As the lane keeps them: bytes under their keys. Sizes as in a stream of ordinary posts: most have hardly any."""
    process = psutil.Process()
    before = process.memory_info().rss
    state = LaneState()
    sizes = [0] * 60 + [1] * 20 + [3] * 12 + [10] * 5 + [60] * 2 + [500]
    shapes = [grown(number, size, rng, SeenEvents()) for number, size in enumerate(sizes)]
    total = 0
    for number in range(ALIVE):
        cascade, size = shapes[number % len(shapes)], sizes[number % len(sizes)]
        cascade.story = f"x:{number:019d}"
        cascade.root = Card("x", f"{number:019d}", "original", BEGIN)
        cascade.recent, cascade.sealed = b"", 0
        for _event in range(size):
            state.seen.remember(cascade.story, cascade, rng.randbytes(8))
        state.cascades.put(cascade.story, cascade, BEGIN + number)
        if number % 1000 == 999:
            total += sum(map(len, filter(None, state.changes().values())))
    return {
        "cascades alive": ALIVE,
        "bytes a live cascade, on average": total / ALIVE,
        "GB for all of them": (process.memory_info().rss - before) / 1e9,
    }


if __name__ == "__main__":
    for what, figure in run().items():
        print(f"{what:50} {figure:,.2f}")
