"""Leases of the embedded log after the machine's clock was set back."""

from __future__ import annotations

import time
from pathlib import Path

from services.contracts.topics import POSTS
from services.eventlog.base import Group
from services.eventlog.sqlite.log import SqliteLog

LEASE_SECONDS = 30.0
HOUR = 3600.0
GROUP = Group("scorer", POSTS.name, "changelog")


class Idle:
    def assigned(self, partitions: frozenset[int]) -> None: ...

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None: ...


async def _join_beside_a_dead_member(path: Path, until: float) -> frozenset[int]:
    log = SqliteLog(path, 4, lease_seconds=LEASE_SECONDS, beat_seconds=600)
    await log.start()
    try:
        first = await log.join(GROUP, Idle())
        await log._file.write(lambda db: db.execute("UPDATE members SET member = 'dead', expires = ?", (until,)))
        await log._file.write(lambda db: db.execute("UPDATE leases SET member = 'dead', expires = ?", (until,)))
        second = await log.join(GROUP, Idle())
        held = second.assigned
        await second.leave(0)
        await first.leave(0)
        return held
    finally:
        await log.close()


async def test_a_lease_from_before_the_clock_was_set_back_does_not_hold_for_an_hour(tmp_path: Path) -> None:
    held = await _join_beside_a_dead_member(tmp_path / "log.db", time.time() + HOUR)
    assert held == frozenset(range(4))


async def test_a_lease_of_today_holds(tmp_path: Path) -> None:
    assert not await _join_beside_a_dead_member(tmp_path / "log.db", time.time() + LEASE_SECONDS)
