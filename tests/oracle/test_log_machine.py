"""An embedded log does what hypothesis thinks of, in any order, beside a model of a few dicts: owners come and go, old ones
try again, handles close and open. The log and the model must say the same after every step."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from services.contracts.topics import CASCADES, POSTS, SIGNALS
from services.eventlog.base import Closed, Fenced, Group, Membership, Message, NotAssigned, Owner, TooLarge, Transaction
from services.eventlog.sqlite import SqliteLog
from services.eventlog.sqlite.sizes import MAX_RECORD_BYTES

T = TypeVar("T")
PARTITIONS: Final = 2
GROUP: Final = Group("machine", POSTS.name, CASCADES.name)
PARTITION = st.integers(0, PARTITIONS - 1)
CHANGES = st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), st.binary(max_size=4)), max_size=3)


class Ownership:
    """Takes everything, says nothing."""

    def assigned(self, partitions: frozenset[int]) -> None: ...

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None: ...


@dataclass
class Model:
    """What the log must hold. `owner` is the number of the acquisition that may commit."""

    records: dict[tuple[str, int], list[bytes]] = field(default_factory=lambda: defaultdict(list))
    state: dict[int, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    next: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    owner: dict[int, int] = field(default_factory=dict)


@dataclass(eq=False)
class Held:
    """An owner as its holder sees it: where it reads, what it committed."""

    number: int
    handle: int
    owner: Owner
    position: int
    committed: int


class LogMachine(RuleBasedStateMachine):
    owners: Bundle[Held] = Bundle("owners")

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="firebreak-machine-")
        self.loop = asyncio.Runner()
        self.model = Model()
        self.acquisitions = 0
        self.handles = 0
        self.said = 0
        self.membership: Membership | None = None
        self.log = self.run(self.opened())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    async def opened(self) -> SqliteLog:
        log = SqliteLog(Path(self.directory.name) / "log.db", PARTITIONS, retention=False, lease_seconds=600)
        await log.start()
        return log

    def words(self) -> bytes:
        self.said += 1
        return f"message {self.said}".encode()

    @rule(partition=PARTITION, count=st.integers(1, 4))
    def append(self, partition: int, count: int) -> None:
        values = [self.words() for _ in range(count)]
        self.run(self.log.append([Message(POSTS.name, "k", value, partition) for value in values]))
        self.model.records[POSTS.name, partition] += values

    @rule(partition=PARTITION)
    def append_too_much(self, partition: int) -> None:
        messages = [
            Message(POSTS.name, "k", self.words(), partition),
            Message(POSTS.name, "k", bytes(MAX_RECORD_BYTES)),
        ]
        with pytest.raises(TooLarge):
            self.run(self.log.append(messages))

    @rule(target=owners, partition=PARTITION)
    def acquire(self, partition: int) -> Held:
        """The owner before this one, of this or an earlier handle, is fenced from now on."""
        owner = self.run(self._acquire(partition))
        self.acquisitions += 1
        self.model.owner[partition] = self.acquisitions
        assert owner.restored.next == self.model.next[partition]
        assert owner.restored.entries == self.model.state[partition]
        return Held(self.acquisitions, self.handles, owner, owner.restored.next, owner.restored.next)

    async def _acquire(self, partition: int) -> Owner:
        if self.membership is None:
            self.membership = await self.log.join(GROUP, Ownership())
        return await self.membership.acquire(partition)

    def is_over(self, held: Held) -> bool:
        """Whether its handle was closed: then nothing works any more, and that is said."""
        if held.handle == self.handles:
            return False
        for attempt in (held.owner.read(1, 0.0), held.owner.commit(Transaction(held.position, (), {"a": b"zombie"}))):
            with pytest.raises((Closed, NotAssigned)):
                self.run(attempt)
        return True

    @rule(held=owners, most=st.integers(1, 5))
    def read(self, held: Held, most: int) -> None:
        if self.is_over(held):
            return
        batch = self.run(held.owner.read(most, 0.0))
        expected = self.model.records[POSTS.name, held.owner.partition][held.position : held.position + most]
        assert [record.value for record in batch.records] == expected
        held.position += len(expected)
        assert batch.next == held.position

    @rule(held=owners, changes=CHANGES, outputs=st.integers(0, 3), to=PARTITION)
    def commit(self, held: Held, changes: dict[str, bytes | None], outputs: int, to: int) -> None:
        if self.is_over(held):
            return
        partition = held.owner.partition
        values = [self.words() for _ in range(outputs)]
        step = Transaction(held.position, [Message(SIGNALS.name, "b", value, to) for value in values], changes)
        if self.model.owner.get(partition) != held.number:
            with pytest.raises(Fenced):
                self.run(held.owner.commit(step))
            return
        self.run(held.owner.commit(step))
        held.committed = held.position
        self.model.next[partition] = held.position
        self.model.records[SIGNALS.name, to] += values
        for key, value in changes.items():
            self.model.state[partition].pop(key, None)
            if value is not None:
                self.model.state[partition][key] = value

    @rule(held=owners)
    def commit_backwards(self, held: Held) -> None:
        if held.committed and not self.is_over(held):
            with pytest.raises(ValueError, match="backwards"):
                self.run(held.owner.commit(Transaction(held.committed - 1)))

    @rule(held=owners, partition=PARTITION)
    def commit_too_much(self, held: Held, partition: int) -> None:
        if self.is_over(held):
            return
        giant = Message(SIGNALS.name, "b", bytes(MAX_RECORD_BYTES), partition)
        small = Message(SIGNALS.name, "b", self.words(), partition)
        with pytest.raises(TooLarge):
            self.run(held.owner.commit(Transaction(held.position, [small, giant], {"a": b"never"})))

    @rule(held=consumes(owners))
    def close_owner(self, held: Held) -> None:
        self.run(held.owner.close())
        with pytest.raises(Closed):
            self.run(held.owner.commit(Transaction(held.position)))

    @rule(target=owners)
    def reopen(self) -> Any:
        """What was not committed is gone with the handle; all else is there for the next."""
        self.run(self.log.close())
        with pytest.raises(Closed):
            self.run(self.log.append([]))
        self.membership = None
        self.handles += 1
        self.model.owner.clear()
        self.log = self.run(self.opened())
        return multiple()

    @invariant()
    def log_and_model_agree(self) -> None:
        for topic in (POSTS.name, SIGNALS.name):
            bounds = self.run(self.log.bounds(topic))
            for partition in range(PARTITIONS):
                expected = self.model.records[topic, partition]
                assert bounds[partition] == (0, len(expected))
                assert [r.value for r in self.run(self.log.read(topic, partition, 0, 10_000)).records] == expected

    @invariant()
    def lag_is_what_is_not_committed(self) -> None:
        left = sum(len(self.model.records[POSTS.name, p]) - self.model.next[p] for p in range(PARTITIONS))
        assert self.run(self.log.lag(GROUP.name, GROUP.topic)) == left

    def teardown(self) -> None:
        self.run(self.log.close())
        self.loop.close()
        self.directory.cleanup()


def test_the_log_does_what_its_model_does() -> None:
    """Append, acquire, read, commit, fence, close and open again, in any order."""
    bounded = settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(LogMachine, settings=bounded)
