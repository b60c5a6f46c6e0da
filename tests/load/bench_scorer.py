"""Engagement events a second through the whole scorer, exactly once, on Kafka and on SQLite; beside it, in the same run and on
the same broker, a Quix Streams application that merely counts the same events per conversation, exactly once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from deploy.local_kafka import LocalKafka
from services.base.settings import Settings
from services.config.loading import parse
from services.contracts.topics import POSTS
from services.runtime.process import Process, collect_rarely
from tests.load.posts import engagements

EVENTS = int(os.environ.get("FIREBREAK_BENCH_EVENTS", "200000"))
ROUNDS = 3
"""Either goes first in turn: a machine's speed changes from minute to minute."""
CONVERSATIONS = 4000
CONFIG = parse("brands: [{id: acme, name: Acme, line: {engagements: 500}}]")
QUIX = """
import sys, time
from quixstreams import Application
bootstrap, topic, count, directory = sys.argv[1:]
app = Application(broker_address=bootstrap, consumer_group="quix", processing_guarantee="exactly-once",
                  auto_offset_reset="earliest", state_dir=directory, loglevel="ERROR")
frame = app.dataframe(app.topic(topic, value_deserializer="json", key_deserializer="str"))
marks = []
def count_it(value, state):
    if not marks: marks.append(time.perf_counter())
    state.set("count", state.get("count", 0) + 1)
frame = frame.update(count_it, stateful=True)
app.run(count=int(count))
print(int(count) / (time.perf_counter() - marks[0]))
"""


async def filled(settings: Settings) -> None:
    from services.runtime.process import open_log

    log = open_log(settings)
    await log.start()
    begin = datetime.now(UTC) - timedelta(hours=2)
    messages = list(engagements(EVENTS, CONVERSATIONS, begin))
    for start in range(0, EVENTS, 1000):
        await log.append(messages[start : start + 1000])
    await log.close()


async def scored(settings: Settings) -> float:
    """Events a second, from the first commit to the last."""
    process = Process(settings, CONFIG, ["scorer"])
    collect_rarely()
    stop = asyncio.Event()
    running = asyncio.create_task(process.run(stop))

    def done() -> float:
        return process.registry.get_sample_value("firebreak_lane_records_total", {"stage": "cascades"}) or 0.0

    while done() == 0:
        await asyncio.sleep(0.005)
    first, began = done(), time.perf_counter()
    while done() < EVENTS:
        await asyncio.sleep(0.005)
    took = time.perf_counter() - began
    stop.set()
    await running
    return (EVENTS - first) / took


def on_sqlite() -> float:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data=Path(directory), port=0)
        uvloop.run(filled(settings))
        return uvloop.run(scored(settings))


def on_kafka(ours_first: bool) -> tuple[float, float]:
    """Events a second: ours, and those of Quix Streams, one after the other on one broker."""
    with LocalKafka() as kafka, tempfile.TemporaryDirectory() as directory:
        settings = Settings(data=Path(directory), port=0, log="kafka", kafka_bootstrap=kafka.bootstrap)
        uvloop.run(filled(settings))
        if ours_first:
            return uvloop.run(scored(settings)), counted(kafka.bootstrap, directory)
        theirs = counted(kafka.bootstrap, directory)
        return uvloop.run(scored(settings)), theirs


def counted(bootstrap: str, directory: str) -> float:
    answer = subprocess.run(
        [sys.executable, "-c", QUIX, bootstrap, POSTS.name, str(EVENTS), f"{directory}/quix"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if answer.returncode != 0:
        raise RuntimeError(f"Quix Streams did not run: {answer.stderr[-2000:]}")
    return float(answer.stdout.strip().splitlines()[-1])


def run() -> dict[str, Any]:
    embedded = [on_sqlite() for _ in range(ROUNDS)]
    pairs = [on_kafka(ours_first=number % 2 == 0) for number in range(ROUNDS)]
    return {
        "events": EVENTS,
        "rounds, of which the median is given": ROUNDS,
        "sqlite: engagement events/s, forecast and exactly once": median(embedded),
        "kafka: engagement events/s, forecast and exactly once": median(ours for ours, _ in pairs),
        "kafka: Quix Streams, counting only, exactly once, events/s": median(theirs for _, theirs in pairs),
        "ours / Quix Streams": median(ours / theirs for ours, theirs in pairs),
        "ours / Quix Streams, each round": ", ".join(f"{ours / theirs:.2f}" for ours, theirs in pairs),
    }
