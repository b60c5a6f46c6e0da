"""The embedded log's file: what it is set to, and what a reader leaves behind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from services.contracts.topics import POSTS
from services.eventlog.base import Message
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
