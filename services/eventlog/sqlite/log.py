"""The embedded log: the contract of `base` over one SQLite file, durable, with nothing to install.

Differs from `base` in two things. A process that is stopped *inside* a commit blocks the other processes on the file until
it goes on or dies, and all of them run on one host. Several processes on one file are therefore for tests and demonstrations.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from services.base.tasks import Spawn, spawn_alone
from services.contracts.topics import BY_NAME, TOPICS, Topic, keeping_texts
from services.eventlog.base import (
    Batch,
    Closed,
    Group,
    Listener,
    LogError,
    Message,
    Record,
    Unavailable,
)
from services.eventlog.sqlite.file import SqliteFile
from services.eventlog.sqlite.membership import SqliteMembership
from services.eventlog.sqlite.retention import ROWS, compact, expire
from services.eventlog.sqlite.sizes import check_sizes

logger = structlog.get_logger()

LEASE_SECONDS: Final = 6.0
BEAT_SECONDS: Final = 1.0
"""Three beats may be missed before a member loses its lease."""
RETENTION_SECONDS: Final = 60.0


class SqliteLog:
    def __init__(
        self,
        path: Path,
        partitions: int = 6,
        *,
        lease_seconds: float = LEASE_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
        retention: bool = True,
        keep_texts_hours: float | None = None,
    ) -> None:
        self._file = SqliteFile(path, erase=keep_texts_hours is not None)
        self._topics = keeping_texts(keep_texts_hours)
        self._partitions = partitions
        self._lease_seconds = lease_seconds
        self._beat_seconds = beat_seconds
        self._retention = retention
        self._appended = asyncio.Event()
        self._memberships: list[SqliteMembership] = []
        self._spawn: Spawn = spawn_alone
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self, spawn: Spawn = spawn_alone) -> None:
        self._spawn = spawn
        await self._file.open()
        self._partitions = await self._file.write(self._create_topics)
        if self._retention:
            self._sweeper = spawn("log-retention", self._sweep_until_closed, ends=lambda: self._closed)

    def _create_topics(self, db: sqlite3.Connection) -> int:
        db.execute("INSERT OR IGNORE INTO meta VALUES ('partitions', ?)", (self._partitions,))
        partitions = int(db.execute("SELECT value FROM meta WHERE name = 'partitions'").fetchone()[0])
        db.executemany(
            "INSERT OR IGNORE INTO topics (topic, partition) VALUES (?, ?)",
            [(topic.name, p) for topic in TOPICS for p in range(partitions)],
        )
        return partitions

    async def verify_topics(self) -> list[str]:
        """A file always has the partitions that it was created with, whatever the settings say since."""
        self._check_open()
        problems = []
        for topic in TOPICS:
            there = len(await self.bounds(topic.name))
            if there != self._partitions:
                problems.append(f"{topic.name} has {there} partitions, {self._partitions} are expected")
        return problems

    async def append(self, messages: Sequence[Message]) -> None:
        self._check_open()
        check_sizes(messages)
        if messages:
            await self._file.write(lambda db: self.insert(db, messages))
            self.wake()

    def insert(self, db: sqlite3.Connection, messages: Iterable[Message]) -> None:
        """Store the messages within the caller's transaction."""
        by_place: dict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in messages:
            if message.topic not in BY_NAME:
                raise LogError(f"no topic {message.topic!r}")
            place = message.partition
            if place is None:
                place = zlib.crc32(message.key.encode()) % self._partitions
            by_place[message.topic, place].append(message)
        now = int(time.time() * 1000)
        for (topic, partition), group in by_place.items():
            row = db.execute(
                "UPDATE topics SET next = next + ? WHERE topic = ? AND partition = ? RETURNING next",
                (len(group), topic, partition),
            ).fetchone()
            if row is None:
                raise LogError(f"{topic} has no partition {partition}")
            first = row[0] - len(group)
            db.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)",
                [(topic, partition, first + n, m.key, m.value, now) for n, m in enumerate(group)],
            )

    async def join(self, group: Group, listener: Listener) -> SqliteMembership:
        self._check_open()
        membership = SqliteMembership(self, self._file, group, listener, self._lease_seconds, self._beat_seconds)
        self._memberships.append(membership)
        await membership.start(self._spawn)
        return membership

    async def read(self, topic: str, partition: int, offset: int, max_records: int) -> Batch:
        self._check_open()
        rows = await self._file.read(
            lambda db: db.execute(
                "SELECT topic, partition, offset, key, value, appended_ms FROM records"
                " WHERE topic = ? AND partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
                (topic, partition, offset, max_records),
            ).fetchall()
        )
        records = [Record._make(row) for row in rows]
        return Batch(records, records[-1].offset + 1 if records else offset)

    async def bounds(self, topic: str) -> Mapping[int, tuple[int, int]]:
        self._check_open()
        rows = await self._file.read(
            lambda db: db.execute("SELECT partition, start, next FROM topics WHERE topic = ?", (topic,)).fetchall()
        )
        return {partition: (start, after) for partition, start, after in rows}

    async def lag(self, group: str, topic: str) -> int:
        self._check_open()
        row = await self._file.read(
            lambda db: db.execute(
                "SELECT COALESCE(SUM(t.next - MAX(t.start, COALESCE(p.next, 0))), 0) FROM topics t LEFT JOIN progress p"
                " ON p.grp = ? AND p.topic = t.topic AND p.partition = t.partition WHERE t.topic = ?",
                (group, topic),
            ).fetchone()
        )
        return int(row[0])

    def wake(self) -> None:
        """Tell waiting readers of this process that something was appended."""
        appended, self._appended = self._appended, asyncio.Event()
        appended.set()

    @property
    def appended(self) -> asyncio.Event:
        """Set at the next append of this process. Take it before looking, wait on it after."""
        return self._appended

    async def _sweep_until_closed(self) -> None:
        while True:
            await asyncio.sleep(RETENTION_SECONDS)
            try:
                await self.sweep(time.time())
            except Unavailable as error:
                logger.warning("retention_postponed", why=str(error))

    async def sweep(self, now: float) -> int:
        """Delete what is older than its topic keeps it, and superseded records of compacted topics. Returns how many."""
        deleted = 0
        for topic, partition in [(t, p) for t in self._topics for p in range(self._partitions)]:
            rows = ROWS
            while rows == ROWS:
                rows = await self._file.write(partial(_delete_some, topic=topic, partition=partition, now=now))
                deleted += rows
        return deleted

    async def close(self) -> None:
        if self._closed:
            return
        deadline = asyncio.get_running_loop().time() + 5
        for membership in self._memberships:
            await membership.leave(deadline)
        self._closed = True
        self.wake()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._file.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the log is closed")


def _delete_some(db: sqlite3.Connection, topic: Topic, partition: int, now: float) -> int:
    if topic.kept is None:
        return compact(db, topic.name, partition)
    return expire(db, topic.name, partition, int((now - topic.kept.total_seconds()) * 1000))
