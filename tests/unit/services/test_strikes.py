"""A record that kills every process that thinks about it is found and set aside, whoever supervises them only restarts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.contracts.topics import DEADLETTER, POSTS, SIGNALS
from services.eventlog.base import Message
from services.eventlog.sqlite import SqliteLog
from services.stream.strikes import MOST_DEATHS, Strikes, without
from tests.patience import PATIENCE_SECONDS


def _live(path: Path) -> int:
    command = [sys.executable, "-m", "tests.unit.services.lethal_life", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(command, env=environment, timeout=PATIENCE_SECONDS, check=False).returncode


async def _append(path: Path, *values: bytes) -> None:
    log = SqliteLog(path, 1)
    await log.start()
    await log.append([Message(POSTS.name, "k", value, 0) for value in values])
    await log.close()


async def _read(path: Path, topic: str) -> list[bytes]:
    log = SqliteLog(path, 1)
    await log.start()
    records = (await log.read(topic, 0, 0, 1000)).records
    await log.close()
    return [record.value or b"" for record in records]


async def test_a_record_that_kills_its_process_is_set_aside_and_its_neighbours_take_effect_once(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await _append(path, b"1", b"2", b"deadly", b"3", b"4")
    codes: list[int] = []
    while not codes or codes[-1] != 0:
        codes.append(_live(path))
        assert len(codes) <= 2 * MOST_DEATHS + 1
    assert codes == [-signal.SIGKILL] * (len(codes) - 1) + [0]
    assert await _read(path, SIGNALS.name) == [b"1", b"2", b"3", b"4"]
    (letter,) = [json.loads(value) for value in await _read(path, DEADLETTER.name)]
    assert (letter["reason"], letter["offset"]) == ("fatal", 2)
    # What comes later is taken in batches again.
    await _append(path, b"5", b"6")
    assert _live(path) == 0
    assert (await _read(path, SIGNALS.name))[-2:] == [b"5", b"6"]


class Partition:
    """The note of one partition, kept over lives."""

    def __init__(self) -> None:
        self.entry: bytes | None = None
        self.lives = 0

    def live(self, position: int) -> Strikes:
        self.lives += 1
        return Strikes(self.entry, f"life {self.lives}", position)

    def think(self, strikes: Strikes, position: int, after: int) -> bool:
        judgement = strikes.judge(position, after)
        self.entry = judgement.note or self.entry
        return judgement.aside


def test_a_batch_is_taken_record_by_record_after_three_deaths_and_one_record_set_aside_after_three_more() -> None:
    partition = Partition()
    for _ in range(MOST_DEATHS):
        strikes = partition.live(10)
        assert strikes.alone_until == 0
        assert not partition.think(strikes, 10, 20)
    for _ in range(MOST_DEATHS):
        strikes = partition.live(10)
        assert strikes.alone_until == 20
        assert not partition.think(strikes, 10, 11)
    strikes = partition.live(10)
    assert partition.think(strikes, 10, 11)


def test_a_process_that_goes_on_starts_its_count_anew() -> None:
    partition = Partition()
    for position in range(0, 100, 10):
        strikes = partition.live(position)
        assert strikes.alone_until == 0
        assert not partition.think(strikes, position, position + 10)


def test_a_lane_that_starts_anew_in_one_process_is_no_death() -> None:
    entry: bytes | None = None
    for _ in range(10):
        strikes = Strikes(entry, "one life", 10)
        assert strikes.alone_until == 0
        entry = strikes.judge(10, 20).note


def test_records_that_are_taken_alone_and_pass_are_not_counted_to_their_neighbours() -> None:
    partition = Partition()
    for _ in range(MOST_DEATHS):
        partition.think(partition.live(10), 10, 20)
    for position in range(10, 20):  # one life each, stopped in good order after its record
        strikes = partition.live(position)
        assert strikes.alone_until == 20
        assert not partition.think(strikes, position, position + 1)
    assert partition.live(20).alone_until == 0


@pytest.mark.parametrize("entry", [b"", b"\xff", b"\x93\x01\x02\x03", b"not a note"])
def test_a_note_of_another_release_counts_anew(entry: bytes) -> None:
    strikes = Strikes(entry, "life", 10)
    assert strikes.alone_until == 0
    assert not strikes.judge(10, 20).aside


def test_the_stage_never_sees_the_note() -> None:
    note = Strikes(None, "life", 0).judge(0, 1).note
    assert note is not None
    assert without({"count": b"1", "~strikes": note}) == ({"count": b"1"}, note)
    assert without({"count": b"1"}) == ({"count": b"1"}, None)
