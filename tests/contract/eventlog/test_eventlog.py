"""The contract of `services/eventlog/base.py`, held against every backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from services.base.tasks import Spawn, TaskEnded, Tasks, spawn_alone
from services.contracts.topics import CASCADES, DEADLETTER, POSTS, SIGNALS
from services.eventlog.base import (
    Closed,
    EventLog,
    Fenced,
    Group,
    LogError,
    Membership,
    Message,
    NotAssigned,
    Owner,
    Record,
    TooLarge,
    Transaction,
    Uncertain,
)
from tests.contract.eventlog.conftest import PARTITIONS, Connect
from tests.patience import PATIENCE_SECONDS

SCORER = Group("scorer", POSTS.name, CASCADES.name)
READER = Group("reader", POSTS.name)


class Ownership:
    """Notes what it is told; `having` waits until so many partitions are ours."""

    def __init__(self) -> None:
        self.ours: set[int] = set()
        self.told: list[tuple[str, frozenset[int]]] = []
        self._changed = asyncio.Event()

    def assigned(self, partitions: frozenset[int]) -> None:
        self.ours |= partitions
        self.told.append(("assigned", partitions))
        self._changed.set()

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:
        assert deadline is not None
        self.ours -= partitions
        self.told.append(("revoked", partitions))
        self._changed.set()

    async def having(self, count: int) -> None:
        """Until so many partitions are ours."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.ours) != count:
                self._changed.clear()
                await self._changed.wait()


class Breakable:
    """Spawns the log's tasks as a process does, and can make any one of them fail, or end as if its work were done."""

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self.faults: dict[str, asyncio.Future[None]] = {}

    def spawn(
        self, name: str, work: Callable[[], Awaitable[None]], ends: Callable[[], bool] = lambda: False
    ) -> asyncio.Task[None]:
        fault = self.faults[name] = asyncio.get_running_loop().create_future()

        async def breakable() -> None:
            working = asyncio.ensure_future(work())
            try:
                await asyncio.wait({working, fault}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                working.cancel()
                await asyncio.wait({working})
            (fault if fault.done() else working).result()

        return self._spawn(name, breakable, ends)

    def break_off(self, name: str, how: str) -> None:
        if how == "fails":
            self.faults[name].set_exception(RuntimeError(f"a bug in {name}"))
        else:
            self.faults[name].set_result(None)


async def shared(ours: Ownership, theirs: Ownership) -> None:
    """Until two members have all partitions between them, each at least one. Who gets more is the backend's affair."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (ours.ours and theirs.ours and len(ours.ours) + len(theirs.ours) == PARTITIONS):
            await asyncio.sleep(0.02)


def post(n: int, partition: int | None = 0, key: str = "k") -> Message:
    return Message(POSTS.name, key, f"post {n}".encode(), partition)


async def read_all(owner: Owner, count: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(records) < count:
            records += (await owner.read(100, 0.2)).records
    return records


async def committed(log: EventLog, topic: str, partition: int = 0) -> list[bytes | None]:
    """What a committed reader sees of one partition."""
    values: list[bytes | None] = []
    offset = (await log.bounds(topic))[partition][0]
    while (batch := await log.read(topic, partition, offset, 1000)).records:
        values += [record.value for record in batch.records]
        offset = batch.next
    return values


async def joined(log: EventLog, group: Group = SCORER) -> tuple[Membership, Ownership]:
    ownership = Ownership()
    membership = await log.join(group, ownership)
    await ownership.having(PARTITIONS)
    return membership, ownership


async def acquired(log: EventLog, partition: int = 0, group: Group = SCORER) -> Owner:
    membership, _ = await joined(log, group)
    return await membership.acquire(partition)


async def test_what_was_appended_is_there_for_another_process(connect: Connect) -> None:
    first, second = await connect(), await connect()
    await first.append([post(n) for n in range(5)])
    assert await committed(second, POSTS.name) == [f"post {n}".encode() for n in range(5)]


async def test_equal_keys_share_a_partition_and_many_keys_use_them_all(connect: Connect) -> None:
    log = await connect()
    await log.append([Message(POSTS.name, f"conversation {n % 40}", str(n).encode()) for n in range(400)])
    places: dict[bytes, int] = {}
    used = set()
    for partition in range(PARTITIONS):
        for value in await committed(log, POSTS.name, partition):
            assert value is not None
            conversation = str(int(value) % 40).encode()
            assert places.setdefault(conversation, partition) == partition
            used.add(partition)
    assert used == set(range(PARTITIONS))


async def test_a_partition_is_read_in_append_order_and_offsets_grow(connect: Connect) -> None:
    log = await connect()
    await asyncio.gather(*(log.append([post(n)]) for n in range(50)))
    for n in range(50, 100):
        await log.append([post(n)])
    records = await read_all(await acquired(log), 100)
    assert [record.value for record in records[50:]] == [f"post {n}".encode() for n in range(50, 100)]
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets))


async def test_reading_returns_empty_when_nothing_comes_in_time(connect: Connect) -> None:
    owner = await acquired(await connect())
    batch = await owner.read(10, 0.05)
    assert not batch.records
    assert batch.next == 0


async def test_a_waiting_reader_wakes_for_an_append(connect: Connect) -> None:
    log = await connect()
    owner = await acquired(log)
    reading = asyncio.create_task(read_all(owner, 1))
    await log.append([post(1)])
    assert [record.value for record in await reading] == [b"post 1"]


async def test_a_transaction_appends_changes_state_and_moves_on_together(connect: Connect) -> None:
    log = await connect()
    await log.append([post(n) for n in range(3)])
    owner = await acquired(log)
    records = await read_all(owner, 3)
    after = records[-1].offset + 1
    signal = Message(SIGNALS.name, "acme", b"signal", 0)
    dead = Message(DEADLETTER.name, "k", b"dead", 0)
    await owner.commit(Transaction(after, [signal, dead], {"a": b"1", "b": b"2"}))
    assert await committed(log, SIGNALS.name) == [b"signal"]
    assert await committed(log, DEADLETTER.name) == [b"dead"]
    await log.close()

    again = await acquired(await connect())
    assert dict(again.restored.entries) == {"a": b"1", "b": b"2"}
    assert again.restored.next == after
    assert not (await again.read(10, 0.1)).records


async def test_a_deleted_key_stays_deleted_and_a_batch_without_changes_still_counts(connect: Connect) -> None:
    log = await connect()
    await log.append([post(n) for n in range(3)])
    owner = await acquired(log)
    offsets = [record.offset for record in await read_all(owner, 3)]
    await owner.commit(Transaction(offsets[0] + 1, (), {"a": b"1", "b": b"2"}))
    await owner.commit(Transaction(offsets[1] + 1, (), {"a": None}))
    await owner.commit(Transaction(offsets[2] + 1))
    await log.close()

    again = await acquired(await connect())
    assert dict(again.restored.entries) == {"b": b"2"}
    assert again.restored.next == offsets[2] + 1


async def test_state_belongs_to_its_partition(connect: Connect) -> None:
    log = await connect()
    membership, _ = await joined(log)
    for partition in range(2):
        owner = await membership.acquire(partition)
        await owner.commit(Transaction(0, (), {"k": str(partition).encode()}))
    await log.close()
    membership, _ = await joined(await connect())
    assert [dict((await membership.acquire(p)).restored.entries) for p in range(3)] == [{"k": b"0"}, {"k": b"1"}, {}]


async def test_committing_backwards_is_an_error_and_has_no_effect(connect: Connect) -> None:
    log = await connect()
    await log.append([post(n) for n in range(3)])
    owner = await acquired(log)
    after = (await read_all(owner, 3))[-1].offset + 1
    await owner.commit(Transaction(after))
    with pytest.raises(ValueError, match="backwards"):
        await owner.commit(Transaction(after - 1, [Message(SIGNALS.name, "acme", b"no", 0)]))
    assert await committed(log, SIGNALS.name) == []


async def test_an_older_epoch_is_fenced_and_leaves_no_trace(connect: Connect) -> None:
    log = await connect()
    membership, _ = await joined(log)
    old = await membership.acquire(0)
    new = await membership.acquire(0)
    assert new.epoch > old.epoch
    with pytest.raises((Fenced, Uncertain, Closed)):
        await old.commit(Transaction(0, [Message(SIGNALS.name, "acme", b"zombie", 0)], {"a": b"zombie"}))
    await new.commit(Transaction(0, [Message(SIGNALS.name, "acme", b"living", 0)], {"a": b"living"}))
    assert await committed(log, SIGNALS.name) == [b"living"]
    third = await membership.acquire(0)
    assert dict(third.restored.entries) == {"a": b"living"}


async def test_an_oversized_message_is_refused_before_anything_is_sent(connect: Connect) -> None:
    log = await connect()
    huge = Message(SIGNALS.name, "acme", b"x" * 2_000_000, 0)
    with pytest.raises(TooLarge):
        await log.append([post(1), huge])
    owner = await acquired(log)
    with pytest.raises(TooLarge):
        await owner.commit(Transaction(0, [Message(SIGNALS.name, "acme", b"small", 0), huge]))
    await owner.commit(Transaction(0, [Message(SIGNALS.name, "acme", b"after", 0)]))
    await log.append([post(2)])
    assert await committed(log, SIGNALS.name) == [b"after"]
    assert await committed(log, POSTS.name) == [b"post 2"]


async def test_a_log_that_was_started_has_its_topics_as_they_must_be(connect: Connect) -> None:
    log = await connect()
    assert await log.verify_topics() == []
    await log.close()
    with pytest.raises(Closed):
        await log.verify_topics()


async def test_an_unknown_topic_is_refused(connect: Connect) -> None:
    log = await connect()
    with pytest.raises(LogError):
        await log.append([Message("nowhere", "k", b"v")])


async def test_two_members_share_the_partitions_and_hand_them_over(connect: Connect) -> None:
    one, two = await connect(), await connect()
    first, ours = await joined(one)
    theirs = Ownership()
    second = await two.join(SCORER, theirs)
    await shared(ours, theirs)
    assert ours.ours | theirs.ours == set(range(PARTITIONS))
    assert not ours.ours & theirs.ours
    lost = next(iter(theirs.ours))
    with pytest.raises(NotAssigned):
        await first.acquire(lost)
    await second.leave(asyncio.get_running_loop().time() + 5)
    await ours.having(PARTITIONS)
    await first.acquire(lost)


async def test_a_partition_that_moved_carries_its_state_and_position(connect: Connect) -> None:
    one, two = await connect(), await connect()
    first, ours = await joined(one)
    await one.append([post(n, p) for p in range(PARTITIONS) for n in range(4)])
    after = {}
    for partition in range(PARTITIONS):
        owner = await first.acquire(partition)
        offsets = [record.offset for record in await read_all(owner, 4)]
        after[partition] = offsets[1] + 1
        await owner.commit(Transaction(after[partition], (), {"seen": b"2"}))
    theirs = Ownership()
    second = await two.join(SCORER, theirs)
    await shared(ours, theirs)
    moved = next(iter(theirs.ours))
    owner = await second.acquire(moved)
    assert dict(owner.restored.entries) == {"seen": b"2"}
    assert owner.restored.next == after[moved]
    assert [record.value for record in await read_all(owner, 2)] == [b"post 2", b"post 3"]


async def test_work_after_revocation_is_refused(connect: Connect) -> None:
    log = await connect()
    membership, ours = await joined(log)
    owner = await membership.acquire(1)
    await membership.leave(asyncio.get_running_loop().time() + 5)
    assert ours.told[-1] == ("revoked", frozenset(range(PARTITIONS)))
    with pytest.raises((NotAssigned, Closed, Fenced)):
        await owner.commit(Transaction(0, [Message(SIGNALS.name, "acme", b"late", 0)]))
    assert await committed(log, SIGNALS.name) == []


async def test_a_reader_with_its_own_progress_seeks(connect: Connect) -> None:
    log = await connect()
    await log.append([post(n) for n in range(6)])
    owner = await acquired(log, group=READER)
    records = await read_all(owner, 6)
    assert await owner.seek(records[4].offset) is None
    assert [record.value for record in await read_all(owner, 2)] == [b"post 4", b"post 5"]
    with pytest.raises(ValueError, match="changelog"):
        await owner.commit(Transaction(records[-1].offset + 1))


async def test_behind_is_zero_exactly_when_all_was_read(connect: Connect) -> None:
    log = await connect()
    owner = await acquired(log)
    assert await owner.behind() == 0
    await log.append([post(n) for n in range(3)])
    assert await owner.behind() > 0
    records = await read_all(owner, 3)
    await owner.commit(Transaction(records[-1].offset + 1, [Message(POSTS.name, "k", b"back to itself", 0)]))
    assert await owner.behind() > 0
    await read_all(owner, 1)
    await owner.read(10, 0.1)
    assert await owner.behind() == 0


async def test_lag_falls_to_zero_with_the_commits(connect: Connect) -> None:
    log = await connect()
    await log.append([post(n) for n in range(4)])
    membership, _ = await joined(log)
    assert await log.lag("scorer", POSTS.name) >= 4
    owner = await membership.acquire(0)
    records = await read_all(owner, 4)
    await owner.commit(Transaction(records[-1].offset + 1))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await log.lag("scorer", POSTS.name) > 0:
            await owner.read(1, 0.2)


async def test_close_is_idempotent_and_final(connect: Connect) -> None:
    log = await connect()
    owner = await acquired(log)
    await log.close()
    await log.close()
    calls: Sequence[object] = (
        lambda: log.append([post(1)]),
        lambda: owner.read(1, 0.1),
        lambda: owner.commit(Transaction(0)),
        lambda: log.join(SCORER, Ownership()),
    )
    for call in calls:
        with pytest.raises((Closed, NotAssigned)):
            await call()  # type: ignore[operator]


async def names_of_tasks(connect: Connect) -> tuple[list[str], list[str]]:
    """The tasks that a log starts when it is started, and when it is joined."""
    process = Breakable(spawn_alone)
    log = await connect(process.spawn)
    at_start = list(process.faults)
    await joined(log)
    await log.close()
    return at_start, [name for name in process.faults if name not in at_start]


async def holds_nothing(membership: Membership, owner: Owner) -> None:
    assert membership.assigned == frozenset()
    with pytest.raises((NotAssigned, Closed, Fenced)):
        await owner.commit(Transaction(0, [Message(SIGNALS.name, "acme", b"late", 0)]))
    with pytest.raises((NotAssigned, Closed)):
        await membership.acquire(0)


@pytest.mark.parametrize("how", ["fails", "ends"])
async def test_a_task_of_the_log_that_fails_or_ends_stops_the_process_with_that_reason(
    connect: Connect, how: str
) -> None:
    at_start, at_join = await names_of_tasks(connect)
    assert at_start
    assert at_join

    log: EventLog
    membership: Membership
    owner: Owner

    async def process_in_which(name: str) -> None:
        """Runs until its task `name` is broken off; everything in it is then cancelled by the group."""
        nonlocal log, membership, owner
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            process = Breakable(Tasks(group).spawn)
            log = await connect(process.spawn)
            membership, _ = await joined(log)
            owner = await membership.acquire(0)
            process.break_off(name, how)
            await asyncio.Event().wait()

    for name in (*at_start, *at_join):
        with pytest.raises(ExceptionGroup) as caught:
            await process_in_which(name)
        assert caught.group_contains(RuntimeError if how == "fails" else TaskEnded, match=name)
        await holds_nothing(membership, owner)
        await log.close()
    assert await committed(await connect(), SIGNALS.name) == []


@pytest.mark.parametrize("how", ["fails", "ends"])
async def test_a_member_whose_task_is_over_claims_nothing_and_others_get_its_partitions(
    connect: Connect, how: str
) -> None:
    """Without a process to stop, as in a tool."""
    _, at_join = await names_of_tasks(connect)
    for name in at_join:
        process = Breakable(spawn_alone)
        log = await connect(process.spawn)
        membership, _ = await joined(log)
        owner = await membership.acquire(0)
        process.break_off(name, how)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while membership.assigned:
                await asyncio.sleep(0.01)
        await holds_nothing(membership, owner)
        other = await connect()
        await acquired(other)
        for one in (other, log):
            await one.close()


async def test_a_log_that_is_closed_in_order_stops_no_process(connect: Connect) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        log = await connect(Tasks(group).spawn)
        await joined(log)
        await log.close()
