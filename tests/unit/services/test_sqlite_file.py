"""The embedded log's one writer thread outlives whatever goes wrong in a write: nobody waits for an answer in vain."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from services.eventlog.base import Unavailable
from services.eventlog.sqlite.file import SqliteFile


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
