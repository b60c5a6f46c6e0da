"""Reads the scorer's committed state while the scorer is stopped: for demonstrations, tests and `firebreak doctor`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scorer.lane_state import cascade_state
from scorer.service import GROUP
from scorer.virality.cascade import Cascade
from services.base import private
from services.base.errors import FirebreakError
from services.contracts.topics import CASCADES, POSTS
from services.eventlog.base import EventLog, Group, Membership, Transaction

SETTLE_SECONDS: Final = 60.0
"""If the partitions are not ours after this time, a scorer still runs."""


class _Gather:
    """Notes which partitions are ours. One that is not belongs to a scorer that still runs."""

    def __init__(self) -> None:
        self.ours: set[int] = set()
        self.changed = asyncio.Event()

    def assigned(self, partitions: frozenset[int]) -> None:
        self.ours |= partitions
        self.changed.set()

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:  # noqa: ARG002 - the contract's
        self.ours -= partitions
        self.changed.set()


async def _all_of_it(log: EventLog) -> Membership:
    """A membership that owns every partition. Raises `FirebreakError` if a scorer still runs."""
    gather = _Gather()
    membership = await log.join(Group(GROUP, POSTS.name, CASCADES.name), gather)
    wanted = set(await log.bounds(POSTS.name))
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            while gather.ours != wanted:
                gather.changed.clear()
                await gather.changed.wait()
    except TimeoutError:
        raise FirebreakError("a scorer still runs: stop it first") from None
    return membership


async def cascades(log: EventLog) -> Mapping[str, Cascade]:
    """The committed cascades of all partitions, by conversation. `log` must be started.

    Raises `FirebreakError` if a scorer still runs, or if a conversation stands in two partitions.
    """
    membership = await _all_of_it(log)
    found: dict[str, Cascade] = {}
    try:
        for partition in sorted(membership.assigned):
            owner = await membership.acquire(partition)
            state = cascade_state()
            state.restore(owner.restored.entries)
            for key in list(state.keys()):
                cascade = state.get(key)
                assert cascade is not None
                if key in found:
                    raise FirebreakError(f"conversation {key!r} stands in two partitions")
                found[key] = cascade
            await owner.close()
    finally:
        await membership.leave(asyncio.get_running_loop().time() + 10)
    return found


async def engagements(log: EventLog) -> Mapping[str, int]:
    """How many engagements were counted, by conversation. Raises as `cascades` does."""
    return {conversation: cascade.engagements for conversation, cascade in (await cascades(log)).items()}


async def quarantine(log: EventLog, partition: int, key: str, aside: Path) -> None:
    """Delete the state entry `key` of a partition, and keep its bytes in a file under `aside`.

    Raises `FirebreakError` if there is no such entry, or if a scorer still runs.
    """
    await log.start()
    try:
        membership = await _all_of_it(log)
        owner = await membership.acquire(partition)
        entry = owner.restored.entries.get(key)
        if entry is None:
            raise FirebreakError(f"partition {partition} has no entry {key!r}")
        kept = {"partition": partition, "key": key, "hex": entry.hex()}
        private.write_text(aside / f"quarantine-{partition}-{int(time.time())}.json", json.dumps(kept))
        await owner.commit(Transaction(owner.restored.next, (), {key: None}))
        await membership.leave(asyncio.get_running_loop().time() + 10)
    finally:
        await log.close()
