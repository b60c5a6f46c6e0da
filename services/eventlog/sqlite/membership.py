"""One member of a group: a lease with an epoch on each of its partitions, renewed by a beat.

Members share partitions by their place in the sorted list of live members. A beat that is late by a lease loses what it
held: the member that takes it raises the epoch, and the old owner's commits fail. When the beat itself ends unasked, nobody
renews the leases any more, and the member claims nothing from then on.

A lease that ends later than any that is given today was written before the machine's clock was set back. It counts as ended:
who holds it loses the partition at worst, and that of a dead process would otherwise stay for as long as the clock went back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
import uuid

import structlog

from services.base.tasks import Spawn
from services.eventlog.base import Closed, Gap, Group, Listener, LogError, NotAssigned, Restored, Unavailable
from services.eventlog.sqlite.file import SqliteFile
from services.eventlog.sqlite.owner import Records, SqliteOwner, start_of

logger = structlog.get_logger()


class SqliteMembership:
    def __init__(
        self,
        log: Records,
        file: SqliteFile,
        group: Group,
        listener: Listener,
        lease_seconds: float,
        beat_seconds: float,
    ) -> None:
        self.group = group
        self.log = log
        self.file = file
        self.member = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._listener = listener
        self._lease_seconds = lease_seconds
        self._beat_seconds = beat_seconds
        self._held: set[int] = set()
        self._owners: dict[int, SqliteOwner] = {}
        self._reports: dict[int, int] = {}
        self._beating: asyncio.Task[None] | None = None
        self._left = False

    async def start(self, spawn: Spawn) -> None:
        await self._beat()
        self._beating = spawn(f"log-lease-{self.group.name}", self._beat_until_left, ends=lambda: self._left)

    @property
    def assigned(self) -> frozenset[int]:
        return frozenset(self._held)

    def report(self, partition: int, after: int) -> None:
        self._reports[partition] = after

    async def acquire(self, partition: int) -> SqliteOwner:
        if self._left:
            raise Closed("the membership has left")
        if partition not in self._held:
            raise NotAssigned(f"{self.group.topic}/{partition} is not this member's")
        epoch = await self.file.write(lambda db: self._take_epoch(db, partition))
        restored = await self.file.read(lambda db: self._restore(db, partition))
        owner = SqliteOwner(self, partition, epoch, restored)
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
        start = start_of(db, self.group.topic, partition)
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
        try:
            while True:
                await asyncio.sleep(self._beat_seconds)
                try:
                    await self._beat()
                except Unavailable as error:
                    logger.warning("lease_not_renewed", group=self.group.name, why=str(error))
        finally:
            # While leaving, what is in hand may still be committed: `leave` revokes it in order.
            if not self._left:
                self._held.clear()

    async def _beat(self) -> None:
        """Renew the leases, give up those that others took or should have, and take those that are free and ours."""
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
        db.execute(
            "DELETE FROM members WHERE grp = ? AND topic = ? AND (expires < ? OR expires > ?)",
            (*names, now, self._latest_end(now)),
        )
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
                " WHERE leases.member IS NULL OR leases.expires < ? OR leases.expires > ? RETURNING epoch",
                (
                    *(self.group.name, self.group.topic, partition, self.member, now + self._lease_seconds),
                    *(now, self._latest_end(now)),
                ),
            ).fetchone()
            if row is not None:
                taken.add(partition)
        return taken

    def _latest_end(self, now: float) -> float:
        """Returns the latest end, in epoch seconds, that a lease written under this clock may have; with room for members that
        were told another duration."""
        return now + 10 * self._lease_seconds

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
