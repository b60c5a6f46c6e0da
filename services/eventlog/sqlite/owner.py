"""One acquired partition: reads from its position, commits everything of a step in one SQLite transaction.

Lease and epoch are checked inside `BEGIN IMMEDIATE`, with no await before the commit: a zombie's commit fails.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from services.base.clock import set_within
from services.base.crashpoints import seam
from services.eventlog.base import Batch, Closed, Fenced, Gap, Group, Message, NotAssigned, Restored, Transaction
from services.eventlog.sqlite.file import SqliteFile
from services.eventlog.sqlite.sizes import check_sizes

GLANCE_SECONDS: Final = 0.1
"""How often a reader that waits looks for what another process appended."""


class Records(Protocol):
    """The records of all topics in one file, as an owner reads and appends them."""

    @property
    def appended(self) -> asyncio.Event:
        """Set at the next append of this process. Take it before looking, wait on it after."""

    def wake(self) -> None:
        """Tell waiting readers of this process that something was appended."""

    def insert(self, db: sqlite3.Connection, messages: Iterable[Message]) -> None:
        """Store the messages within the caller's transaction."""

    async def read(self, topic: str, partition: int, offset: int, max_records: int) -> Batch: ...

    async def bounds(self, topic: str) -> Mapping[int, tuple[int, int]]: ...


class Leaseholder(Protocol):
    """The member that holds the lease of an owner's partition."""

    @property
    def group(self) -> Group: ...

    @property
    def member(self) -> str:
        """The name under which the lease stands in the file."""

    @property
    def log(self) -> Records: ...

    @property
    def file(self) -> SqliteFile: ...

    @property
    def assigned(self) -> frozenset[int]: ...

    def report(self, partition: int, after: int) -> None: ...


class SqliteOwner:
    def __init__(self, membership: Leaseholder, partition: int, epoch: int, restored: Restored) -> None:
        self._membership = membership
        self._log = membership.log
        self._file = membership.file
        self._group = membership.group
        self.partition = partition
        self.epoch = epoch
        self.restored = restored
        self._position = restored.next
        self._committed = restored.next
        self._looked_at: asyncio.Event | None = None
        self._look_again = 0.0
        self._closed = False

    async def read(self, max_records: int, timeout: float) -> Batch:
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while True:
            self._check_usable()
            appended = self._log.appended
            # The file is asked when this process appended something since the last look, and now and then for the others.
            if appended is not self._looked_at or loop.time() >= self._look_again:
                batch = await self._log.read(self._group.topic, self.partition, self._position, max_records)
                if batch.records:
                    self._position = batch.next
                    return batch
                self._looked_at, self._look_again = appended, loop.time() + GLANCE_SECONDS
            left = until - loop.time()
            if left <= 0:
                return Batch((), self._position)
            await set_within(appended, min(left, max(0.001, self._look_again - loop.time())))

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
        start = await self._file.read(lambda db: start_of(db, self._group.topic, self.partition))
        self._position = max(position, start)
        self._looked_at = None
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
            raise NotAssigned(f"{self._group.topic}/{self.partition} is not this member's any more")


def start_of(db: sqlite3.Connection, topic: str, partition: int) -> int:
    row = db.execute("SELECT start FROM topics WHERE topic = ? AND partition = ?", (topic, partition)).fetchone()
    return int(row[0])
