"""The embedded log: the contract of `base` over one SQLite file, durable, with nothing to install.

Differs from `base` in one capability: a process that is stopped *inside* a commit blocks the other processes on the file
until it goes on or dies. Several processes on one file are therefore for tests and demonstrations.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from services.contracts.topics import BY_NAME, TOPICS
from services.crashpoints import seam
from services.eventlog.base import (
    Batch,
    Capability,
    Closed,
    Fenced,
    Gap,
    Group,
    Listener,
    LogError,
    Message,
    NotAssigned,
    Record,
    Restored,
    TooLarge,
    Transaction,
    Unavailable,
)
from services.eventlog.sqlite_file import SqliteFile

log = structlog.get_logger()

MAX_RECORD_BYTES: Final = 950_000
"""As on Kafka, so that what fits one log fits the other."""
LEASE_SECONDS: Final = 6.0
BEAT_SECONDS: Final = 1.0
"""Three beats may be missed before a member loses its lease."""
GLANCE_SECONDS: Final = 0.1
"""How often a reader that waits looks for what another process appended."""
RETENTION_SECONDS: Final = 60.0
RETENTION_ROWS: Final = 1000
"""Deleted in one transaction at most, so that appends never wait long."""


class SqliteLog:
    capabilities: frozenset[Capability] = frozenset()

    def __init__(
        self,
        path: Path,
        partitions: int = 6,
        *,
        lease_seconds: float = LEASE_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
        retention: bool = True,
    ) -> None:
        self._file = SqliteFile(path)
        self._partitions = partitions
        self._lease_seconds = lease_seconds
        self._beat_seconds = beat_seconds
        self._retention = retention
        self._appended = asyncio.Event()
        self._memberships: list[_Membership] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        await self._file.open()
        self._partitions = await self._file.write(self._create_topics)
        if self._retention:
            self._sweeper = asyncio.create_task(self._sweep_until_closed(), name="log-retention")

    def _create_topics(self, db: sqlite3.Connection) -> int:
        db.execute("INSERT OR IGNORE INTO meta VALUES ('partitions', ?)", (self._partitions,))
        partitions = int(db.execute("SELECT value FROM meta WHERE name = 'partitions'").fetchone()[0])
        db.executemany(
            "INSERT OR IGNORE INTO topics (topic, partition) VALUES (?, ?)",
            [(topic.name, p) for topic in TOPICS for p in range(partitions)],
        )
        return partitions

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

    async def join(self, group: Group, listener: Listener) -> _Membership:
        self._check_open()
        membership = _Membership(self, self._file, group, listener, self._lease_seconds, self._beat_seconds)
        self._memberships.append(membership)
        await membership.start()
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
                log.warning("retention_postponed", why=str(error))

    async def sweep(self, now: float) -> int:
        """Delete what is older than its topic keeps it, and superseded records of compacted topics; how many."""
        deleted = 0
        for topic, partition in [(t, p) for t in TOPICS for p in range(self._partitions)]:
            kept = topic.kept
            while True:
                if kept is None:
                    rows = await self._file.write(lambda db, t=topic.name, p=partition: _compact(db, t, p))  # type: ignore[misc]
                else:
                    before = int((now - kept.total_seconds()) * 1000)
                    rows = await self._file.write(lambda db, t=topic.name, p=partition, b=before: _expire(db, t, p, b))  # type: ignore[misc]
                deleted += rows
                if rows < RETENTION_ROWS:
                    break
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


def check_sizes(messages: Iterable[Message]) -> None:
    for message in messages:
        size = len(message.value or b"") + len(message.key)
        if size > MAX_RECORD_BYTES:
            raise TooLarge(
                f"a record of {size} bytes for {message.topic} (key {message.key[:80]!r}); at most {MAX_RECORD_BYTES}"
            )


def _expire(db: sqlite3.Connection, topic: str, partition: int, before_ms: int) -> int:
    """Only a prefix goes: the first record that is young enough ends it, whatever the clock did later."""
    rows = db.execute(
        "SELECT offset, appended_ms FROM records WHERE topic = ? AND partition = ? ORDER BY offset LIMIT ?",
        (topic, partition, RETENTION_ROWS),
    ).fetchall()
    old = 0
    while old < len(rows) and rows[old][1] < before_ms:
        old += 1
    if old:
        start = rows[old - 1][0] + 1
        db.execute("DELETE FROM records WHERE topic = ? AND partition = ? AND offset < ?", (topic, partition, start))
        db.execute("UPDATE topics SET start = ? WHERE topic = ? AND partition = ?", (start, topic, partition))
    return old


def _compact(db: sqlite3.Connection, topic: str, partition: int) -> int:
    return db.execute(
        "DELETE FROM records WHERE (topic, partition, offset) IN (SELECT old.topic, old.partition, old.offset"
        " FROM records old JOIN (SELECT key, MAX(offset) AS newest FROM records WHERE topic = ?1 AND partition = ?2"
        " GROUP BY key) AS last ON old.key = last.key WHERE old.topic = ?1 AND old.partition = ?2"
        " AND old.offset < last.newest LIMIT ?3)",
        (topic, partition, RETENTION_ROWS),
    ).rowcount


class _Membership:
    """Leases with epochs. Members share partitions by their place in the sorted list of live members."""

    def __init__(
        self,
        log_: SqliteLog,
        file: SqliteFile,
        group: Group,
        listener: Listener,
        lease_seconds: float,
        beat_seconds: float,
    ) -> None:
        self.group = group
        self.log = log_
        self.file = file
        self.member = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._listener = listener
        self._lease_seconds = lease_seconds
        self._beat_seconds = beat_seconds
        self._held: set[int] = set()
        self._owners: dict[int, _Owner] = {}
        self._reports: dict[int, int] = {}
        self._beating: asyncio.Task[None] | None = None
        self._left = False

    async def start(self) -> None:
        await self._beat()
        self._beating = asyncio.create_task(self._beat_until_left(), name=f"log-lease-{self.group.name}")

    @property
    def assigned(self) -> frozenset[int]:
        return frozenset(self._held)

    def report(self, partition: int, after: int) -> None:
        self._reports[partition] = after

    async def acquire(self, partition: int) -> _Owner:
        if self._left:
            raise Closed("the membership has left")
        if partition not in self._held:
            raise NotAssigned(f"{self.group.topic}/{partition} is not ours")
        epoch = await self.file.write(lambda db: self._take_epoch(db, partition))
        restored = await self.file.read(lambda db: self._restore(db, partition))
        owner = _Owner(self, partition, epoch, restored)
        self._owners[partition] = owner
        return owner

    def _take_epoch(self, db: sqlite3.Connection, partition: int) -> int:
        row = db.execute(
            "UPDATE leases SET epoch = epoch + 1 WHERE grp = ? AND topic = ? AND partition = ? AND member = ? RETURNING epoch",
            (self.group.name, self.group.topic, partition, self.member),
        ).fetchone()
        if row is None:
            raise NotAssigned(f"{self.group.topic}/{partition} went to another member")
        return int(row[0])

    def _restore(self, db: sqlite3.Connection, partition: int) -> Restored:
        start = _start_of(db, self.group.topic, partition)
        if self.group.changelog is None:
            return Restored({}, start)
        row = db.execute(
            "SELECT next FROM progress WHERE grp = ? AND topic = ? AND partition = ?",
            (self.group.name, self.group.topic, partition),
        ).fetchone()
        after = 0 if row is None else int(row[0])
        entries = dict(
            db.execute(
                "SELECT key, value FROM state WHERE changelog = ? AND partition = ?", (self.group.changelog, partition)
            )
        )
        if after < start:
            return Restored(entries, start, Gap(after, start))
        return Restored(entries, after)

    async def leave(self, deadline: float) -> None:
        if self._left:
            return
        self._left = True
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        await self._revoke(frozenset(self._held), deadline)
        with contextlib.suppress(LogError):
            await self.file.write(self._forget_member)

    def _forget_member(self, db: sqlite3.Connection) -> None:
        self._flush_reports(db)
        names = (self.group.name, self.group.topic, self.member)
        db.execute("UPDATE leases SET member = NULL, expires = 0 WHERE grp = ? AND topic = ? AND member = ?", names)
        db.execute("DELETE FROM members WHERE grp = ? AND topic = ? AND member = ?", names)

    async def _beat_until_left(self) -> None:
        while True:
            await asyncio.sleep(self._beat_seconds)
            try:
                await self._beat()
            except Unavailable as error:
                log.warning("lease_not_renewed", group=self.group.name, why=str(error))

    async def _beat(self) -> None:
        """Renew, give up what others should have or took, take what is free and ours."""
        wanted, lost = await self.file.write(self._renew)
        loop = asyncio.get_running_loop()
        if lost:
            await self._revoke(frozenset(lost), loop.time())
        surplus = frozenset(self._held - wanted)
        if surplus:
            await self._revoke(surplus, loop.time() + self._lease_seconds / 2)
            await self.file.write(lambda db: self._release(db, surplus))
        gained = frozenset(await self.file.write(lambda db: self._take(db, wanted - self._held)))
        if gained:
            self._held |= gained
            self._listener.assigned(gained)

    async def _revoke(self, partitions: frozenset[int], deadline: float) -> None:
        if not partitions:
            return
        await self._listener.revoked(partitions, deadline)
        self._held -= partitions
        for partition in partitions:
            owner = self._owners.pop(partition, None)
            if owner is not None:
                await owner.close()

    def _renew(self, db: sqlite3.Connection) -> tuple[set[int], set[int]]:
        now = time.time()
        names = (self.group.name, self.group.topic)
        db.execute("DELETE FROM members WHERE grp = ? AND topic = ? AND expires < ?", (*names, now))
        db.execute(
            "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?)", (*names, self.member, now + self._lease_seconds)
        )
        db.execute(
            "UPDATE leases SET expires = ? WHERE grp = ? AND topic = ? AND member = ?",
            (now + self._lease_seconds, *names, self.member),
        )
        self._flush_reports(db)
        members = [
            r[0] for r in db.execute("SELECT member FROM members WHERE grp = ? AND topic = ? ORDER BY member", names)
        ]
        total = db.execute("SELECT COUNT(*) FROM topics WHERE topic = ?", (self.group.topic,)).fetchone()[0]
        wanted = {p for p in range(total) if members[p % len(members)] == self.member}
        still = {
            r[0]
            for r in db.execute(
                "SELECT partition FROM leases WHERE grp = ? AND topic = ? AND member = ?", (*names, self.member)
            )
        }
        return wanted, self._held - still

    def _take(self, db: sqlite3.Connection, partitions: set[int]) -> set[int]:
        now = time.time()
        taken = set()
        for partition in partitions:
            row = db.execute(
                "INSERT INTO leases VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (grp, topic, partition) DO UPDATE"
                " SET member = excluded.member, epoch = epoch + 1, expires = excluded.expires"
                " WHERE leases.member IS NULL OR leases.expires < ? RETURNING epoch",
                (self.group.name, self.group.topic, partition, self.member, now + self._lease_seconds, now),
            ).fetchone()
            if row is not None:
                taken.add(partition)
        return taken

    def _release(self, db: sqlite3.Connection, partitions: frozenset[int]) -> None:
        db.executemany(
            "UPDATE leases SET member = NULL, expires = 0 WHERE grp = ? AND topic = ? AND partition = ? AND member = ?",
            [(self.group.name, self.group.topic, p, self.member) for p in partitions],
        )

    def _flush_reports(self, db: sqlite3.Connection) -> None:
        reports, self._reports = self._reports, {}
        db.executemany(
            "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?)",
            [(self.group.name, self.group.topic, partition, after) for partition, after in reports.items()],
        )


def _start_of(db: sqlite3.Connection, topic: str, partition: int) -> int:
    row = db.execute("SELECT start FROM topics WHERE topic = ? AND partition = ?", (topic, partition)).fetchone()
    return int(row[0])


class _Owner:
    def __init__(self, membership: _Membership, partition: int, epoch: int, restored: Restored) -> None:
        self._membership = membership
        self._log = membership.log
        self._file = membership.file
        self._group = membership.group
        self.partition = partition
        self.epoch = epoch
        self.restored = restored
        self._position = restored.next
        self._committed = restored.next
        self._closed = False

    async def read(self, max_records: int, timeout: float) -> Batch:
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while True:
            self._check_usable()
            appended = self._log.appended
            batch = await self._log.read(self._group.topic, self.partition, self._position, max_records)
            left = until - loop.time()
            if batch.records or left <= 0:
                self._position = batch.next
                return batch
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(appended.wait(), min(left, GLANCE_SECONDS))

    async def commit(self, transaction: Transaction) -> None:
        if self._group.changelog is None:
            raise ValueError(f"the group {self._group.name} has no changelog: its progress lives elsewhere")
        if transaction.next < self._committed:
            raise ValueError(f"committing backwards: {transaction.next} after {self._committed}")
        self._check_usable()
        check_sizes(transaction.appends)
        await self._file.write(lambda db: self._apply(db, transaction))
        self._committed = transaction.next
        seam("tx.committed")
        if transaction.appends:
            self._log.wake()

    def _apply(self, db: sqlite3.Connection, transaction: Transaction) -> None:
        group, changelog = self._group, self._group.changelog
        row = db.execute(
            "SELECT member, epoch FROM leases WHERE grp = ? AND topic = ? AND partition = ?",
            (group.name, group.topic, self.partition),
        ).fetchone()
        if row != (self._membership.member, self.epoch):
            raise Fenced(f"{group.topic}/{self.partition}: epoch {self.epoch} is over")
        seam("tx.begun")
        self._log.insert(db, transaction.appends)
        seam("tx.outputs")
        db.executemany(
            "DELETE FROM state WHERE changelog = ? AND partition = ? AND key = ?",
            [(changelog, self.partition, key) for key, value in transaction.changes.items() if value is None],
        )
        db.executemany(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)",
            [
                (changelog, self.partition, key, value)
                for key, value in transaction.changes.items()
                if value is not None
            ],
        )
        seam("tx.state")
        db.execute(
            "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?)",
            (group.name, group.topic, self.partition, transaction.next),
        )
        seam("tx.progress")
        seam("tx.committing")

    async def seek(self, position: int) -> Gap | None:
        self._check_usable()
        start = await self._file.read(lambda db: _start_of(db, self._group.topic, self.partition))
        self._position = max(position, start)
        return Gap(position, start) if position < start else None

    def report(self, position: int) -> None:
        self._membership.report(self.partition, position)

    async def behind(self) -> int:
        bounds = await self._log.bounds(self._group.topic)
        return max(0, bounds[self.partition][1] - self._position)

    async def close(self) -> None:
        self._closed = True

    def _check_usable(self) -> None:
        if self._closed:
            raise Closed("the owner is closed")
        if self.partition not in self._membership.assigned:
            raise NotAssigned(f"{self._group.topic}/{self.partition} is not ours any more")
