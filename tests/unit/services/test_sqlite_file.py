"""The embedded log's file: what it is set to, what a reader leaves behind, and a writer thread that outlives whatever goes
wrong in a write: nobody waits for an answer in vain."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from services.contracts.topics import POSTS, SIGNALS, WATCH
from services.eventlog.base import Message, Unavailable
from services.eventlog.sqlite import SqliteLog
from services.eventlog.sqlite.file import SqliteFile


async def test_what_is_committed_survives_a_power_cut(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "log.db")
    await file.open()
    pragmas = ("journal_mode", "synchronous")
    assert await file.write(lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]) == ["wal", 2]
    await file.close()


async def test_readers_leave_the_write_ahead_log_free_to_be_folded_back(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db", retention=False)
    await log.start()
    for n in range(20):
        await log.append([Message(POSTS.name, "k", b"post %d" % n, 0)])
        assert (await log.read(POSTS.name, 0, 0, 5)).records
    await log.bounds(POSTS.name)
    wal = tmp_path / "log.db-wal"
    assert wal.stat().st_size > 0
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    other.close()
    assert (busy, wal.stat().st_size) == (0, 0)
    await log.close()


@pytest.mark.parametrize(("hours", "left"), [(None, b"a secret complaint"), (24.0, b"")])
async def test_texts_are_gone_from_the_file_after_the_hours_that_are_set(
    tmp_path: Path, hours: float | None, left: bytes
) -> None:
    log = SqliteLog(tmp_path / "log.db", 1, retention=False, keep_texts_hours=hours)
    await log.start()
    await log.append([Message(topic, "k", b"a secret complaint", 0) for topic in (POSTS.name, WATCH.name)])
    await log.append([Message(SIGNALS.name, "k", b"a secret complaint", 0)])
    a_day_later = time.time() + 25 * 3600
    await log.sweep(a_day_later)
    kept = {topic: len((await log.read(topic, 0, 0, 5)).records) for topic in (POSTS.name, SIGNALS.name, WATCH.name)}
    assert kept == {POSTS.name: 1 if left else 0, SIGNALS.name: 1 if left else 0, WATCH.name: 1}
    await log.append([Message(WATCH.name, "k", b"an id", 0)])
    await log.sweep(a_day_later)
    await log.close()
    assert (left or b"an id") in (tmp_path / "log.db").read_bytes()
    if not left:
        assert b"a secret complaint" not in (tmp_path / "log.db").read_bytes()


class FullDisk:
    """A connection on which neither a commit nor the rollback after it works, for a while."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.full = True

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if self.full and statement in {"COMMIT", "ROLLBACK"}:
            raise sqlite3.OperationalError("database or disk is full")
        return self.connection.execute(statement, *values)

    def close(self) -> None:
        self.connection.close()


async def test_a_write_whose_rollback_fails_too_is_told_and_the_next_one_works_again(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "log.db")
    await file.open()
    assert file._writing is not None
    disk = FullDisk(file._writing)
    file._writing = disk  # type: ignore[assignment]
    count = "SELECT COUNT(*) FROM meta WHERE name = 'x'"
    async with asyncio.timeout(20):
        for _ in range(2):
            with pytest.raises(Unavailable):
                await file.write(lambda db: db.execute("INSERT INTO meta VALUES ('x', 1)"))
        disk.full = False
        with pytest.raises(Unavailable):  # the transaction that is still open is rolled back now
            await file.write(lambda db: db.execute(count))
        assert await file.write(lambda db: db.execute(count).fetchone()) == (0,)
        await file.close()
