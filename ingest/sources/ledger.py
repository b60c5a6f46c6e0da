"""The one who commits for all sources of a partition: what was heard, the cursor and what is said of coverage, in one
transaction of the log. Once another process has the partition the log refuses it all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

from ingest.sources.state import SourceState, decode_state, encode_state
from services.base.crashpoints import seam
from services.eventlog.base import Message, Owner, Transaction

READ_RECORDS: Final = 1000


class Ledger:
    """The states of the sources of one partition."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._next = owner.restored.next
        self._one_at_a_time = asyncio.Lock()
        self._states = {name: decode_state(name, value) for name, value in owner.restored.entries.items()}

    @property
    def states(self) -> Mapping[str, SourceState]:
        return self._states

    def state(self, name: str) -> SourceState:
        """As it was committed last."""
        return self._states.get(name, SourceState())

    async def commit(self, name: str, state: SourceState, messages: Sequence[Message]) -> None:
        """Store all of it, or raise what `Owner.commit` raises. A caller that is cancelled waits for the end of the commit: one
        that is cut off leaves nobody knows what."""
        await _to_its_end(self._commit(name, state, messages))

    async def _commit(self, name: str, state: SourceState, messages: Sequence[Message]) -> None:
        async with self._one_at_a_time:
            seam("source.heard")
            await self._owner.commit(Transaction(self._next, messages, {name: encode_state(state)}))
            self._states[name] = state
            seam("source.stored")

    async def read_along(self) -> None:
        """Read what stands in the sources' own topic, so that lag tools see nobody behind."""
        async with self._one_at_a_time:
            self._next = (await self._owner.read(READ_RECORDS, 0)).next


async def _to_its_end(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
