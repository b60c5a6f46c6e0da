"""Faults that only Kafka has, against a real broker: what fences, what stays open, what goes away and comes back."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local_kafka import KafkaUnavailable, LocalKafka
from services.base.errors import ConfigError, Damaged
from services.base.settings import Settings
from services.config.loading import parse
from services.contracts.topics import CASCADES, POSTS, SIGNALS, keeping_texts
from services.eventlog.base import (
    Fenced,
    Group,
    LogError,
    Membership,
    Message,
    NotAssigned,
    Owner,
    Transaction,
    Unavailable,
)
from services.eventlog.kafka import KafkaLog
from services.eventlog.kafka import owner as owner_module
from services.eventlog.kafka.appender import APPEND_SECONDS
from services.eventlog.kafka.membership import KafkaMembership
from services.eventlog.kafka.restore import PROGRESS_KEY
from services.runtime.process import Process
from tests.kafka_transactions import all_ended, open_transactions
from tests.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.kafka_fixture"]
pytestmark = pytest.mark.kafka

PARTITIONS = 3
SCORER = Group("scorer", POSTS.name, CASCADES.name)
Connect = Callable[..., KafkaLog]


class Ownership:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.ours: frozenset[int] = frozenset()
        self.revocations = 0
        self._changed = asyncio.Event()

    def assigned(self, partitions: frozenset[int]) -> None:
        self.ours = partitions
        self._changed.set()

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:
        assert deadline > asyncio.get_running_loop().time()
        self.ours -= partitions
        self.revocations += 1
        self._changed.set()

    async def having(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.ours) != count:
                self._changed.clear()
                await self._changed.wait()


class Copier:
    """Copies posts to signals, exactly once, however often its lanes are fenced, revoked or cut off."""

    def __init__(self, log: KafkaLog) -> None:
        self.log = log
        self.membership: Membership | None = None
        self.lanes: dict[int, asyncio.Task[None]] = {}
        self.restarts = 0

    async def start(self) -> None:
        self.membership = await self.log.join(SCORER, self)

    def assigned(self, partitions: frozenset[int]) -> None:
        self.lanes |= {p: asyncio.create_task(self._lane(p)) for p in partitions}

    async def revoked(self, partitions: frozenset[int], deadline: float) -> None:
        assert deadline > asyncio.get_running_loop().time()
        lanes = [self.lanes.pop(p) for p in partitions if p in self.lanes]
        for lane in lanes:
            lane.cancel()  # in the middle of whatever it does: a commit too
        await asyncio.gather(*lanes, return_exceptions=True)

    async def stop(self) -> None:
        if self.membership is not None:
            await self.membership.leave(asyncio.get_running_loop().time() + 5)

    async def _lane(self, partition: int) -> None:
        while True:
            try:
                assert self.membership is not None
                owner = await self.membership.acquire(partition)
                count = int(owner.restored.entries.get("count", b"0"))
                while True:
                    batch = await owner.read(7, 0.2)
                    if not batch.records:
                        continue
                    count += len(batch.records)
                    copies = [Message(SIGNALS.name, one.key, one.value) for one in batch.records]
                    await owner.commit(Transaction(batch.next, copies, {"count": str(count).encode()}))
            except NotAssigned:
                return
            except LogError:
                self.restarts += 1
                await asyncio.sleep(0.2)


async def values(log: KafkaLog, topic: str) -> list[bytes]:
    """What a committed reader sees, over all partitions."""
    found: list[bytes] = []
    for partition, (start, _) in (await log.bounds(topic)).items():
        offset = start
        while (batch := await log.read(topic, partition, offset, 1000)).records:
            found += [record.value for record in batch.records if record.value is not None]
            offset = batch.next
    return found


async def joined(log: KafkaLog, group: Group = SCORER, having: int = PARTITIONS) -> tuple[Membership, Ownership]:
    ownership = Ownership()
    membership = await log.join(group, ownership)
    await ownership.having(having)
    return membership, ownership


async def acquired(log: KafkaLog, partition: int = 0, group: Group = SCORER) -> tuple[Membership, Owner]:
    membership, _ = await joined(log, group)
    return membership, await membership.acquire(partition)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.05)


def posts(count: int, partition: int | None = 0) -> list[Message]:
    return [Message(POSTS.name, f"k{n}", b"post %d" % n, partition) for n in range(count)]


def signal(value: bytes) -> Message:
    return Message(SIGNALS.name, "acme", value, 0)


@pytest.fixture
async def connect(kafka: LocalKafka, prefix: str) -> AsyncIterator[Connect]:
    """Handles on one log of this test; not started."""
    opened: list[KafkaLog] = []

    def make(bootstrap: str = kafka.bootstrap, **options: object) -> KafkaLog:
        defaults: dict[str, object] = {"partitions": PARTITIONS, "prefix": prefix, "session_timeout_ms": 6000}
        log = KafkaLog(bootstrap, **{**defaults, **options})  # type: ignore[arg-type]
        opened.append(log)
        return log

    yield make
    for log in reversed(opened):
        await log.close()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, "tasks were left behind"


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[LocalKafka]:
    """A broker that these tests may kill."""
    broker = LocalKafka()
    if broker.given:
        pytest.skip("KAFKA_BOOTSTRAP names a cluster whose brokers are not ours to kill")
    try:
        broker.start()
    except KafkaUnavailable as error:
        pytest.skip(f"NO KAFKA: {error}")
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
async def admin(kafka: LocalKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    yield client
    await client.close()


def stranger(kafka: LocalKafka, prefix: str, partition: int = 0) -> AIOKafkaProducer:
    """Another process that takes the transactional id of a partition."""
    return AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, transactional_id=f"{prefix}scorer.{POSTS.name}.{partition}"
    )


async def test_an_owner_that_was_fenced_by_another_process_recovers_by_acquiring(
    kafka: LocalKafka, connect: Connect, prefix: str
) -> None:
    log = connect()
    await log.start()
    await log.append(posts(3))
    membership, owner = await acquired(log)
    await owner.commit(Transaction(1, [signal(b"one")], {"a": b"1"}))
    async with stranger(kafka, prefix):
        with pytest.raises(Fenced):
            await owner.commit(Transaction(2, [signal(b"fenced")], {"a": b"2"}))
        with pytest.raises(Fenced):  # and it stays so
            await owner.commit(Transaction(2))
    await owner.close()
    assert 0 in membership.assigned
    again = await membership.acquire(0)
    assert (again.restored.next, dict(again.restored.entries)) == (1, {"a": b"1"})
    await again.commit(Transaction(2, [signal(b"two")]))
    assert await values(log, SIGNALS.name) == [b"one", b"two"]


async def test_a_zombies_open_transaction_ends_when_its_partition_is_acquired(
    kafka: LocalKafka, connect: Connect, prefix: str
) -> None:
    log = connect()
    await log.start()
    membership, _ = await joined(log)
    async with stranger(kafka, prefix) as zombie:
        await zombie.begin_transaction()
        await zombie.send_and_wait(prefix + SIGNALS.name, b"zombie", b"acme", partition=0)
        await zombie.send_and_wait(prefix + CASCADES.name, b"zombie", b"a", partition=0)
        await zombie.send_and_wait(prefix + CASCADES.name, b'{"next": 99}', PROGRESS_KEY.encode(), partition=0)
        owner = await membership.acquire(0)
        assert (owner.restored.next, dict(owner.restored.entries)) == (0, {})
        await owner.commit(Transaction(0, [signal(b"living")], {"a": b"living"}))
        # Nothing of the zombie's hides what came after it.
        assert await values(log, SIGNALS.name) == [b"living"]
        with pytest.raises(Exception, match=r"(?i)fenced|epoch|unexpected"):
            await zombie.commit_transaction()
    assert await values(log, SIGNALS.name) == [b"living"]


async def test_a_process_stopped_inside_a_transaction_blocks_nobody_for_longer_than_its_timeout(
    kafka: LocalKafka, connect: Connect, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = connect(transaction_timeout_ms=1500)
    await log.start()
    membership, owner = await acquired(log)
    passed: list[str] = []

    async def broker_gives_up() -> None:
        places = [TopicPartition(prefix + CASCADES.name, 0), TopicPartition(prefix + SIGNALS.name, 0)]
        assert await open_transactions(kafka.bootstrap, places)
        await all_ended(kafka.bootstrap, places)

    def stop(name: str) -> None:
        if name == "tx.committing" and not passed:
            passed.append(name)
            # As SIGSTOP would: nothing on this thread moves, its session lives on.
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(asyncio.run, broker_gives_up()).result()

    monkeypatch.setattr(owner_module, "seam", stop)
    with pytest.raises(LogError):
        await owner.commit(Transaction(0, [signal(b"late")]))
    assert passed
    await owner.close()
    again = await membership.acquire(0)
    await again.commit(Transaction(0, [signal(b"after")]))
    assert await values(log, SIGNALS.name) == [b"after"]


async def test_records_that_the_broker_refuses_do_not_break_the_partition_for_those_after(
    connect: Connect, admin: AIOKafkaAdminClient, prefix: str
) -> None:
    log = connect()
    await log.start()
    membership, owner = await acquired(log)
    for name in (POSTS.name, SIGNALS.name):
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, prefix + name, {"max.message.bytes": "20000"})]
        )
    problems = await log.verify_topics()
    assert any("max.message.bytes" in one for one in problems)
    big = random.Random(1).randbytes(60_000)  # lz4 makes nothing of it
    with pytest.raises(Unavailable):
        await log.append([Message(POSTS.name, "k", big, 0)])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await log.append(posts(2))
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                break
    assert await values(log, POSTS.name) == [b"post 0", b"post 1"]
    with pytest.raises(Unavailable):
        await owner.commit(Transaction(0, [signal(b"small"), signal(big)], {"a": b"1"}))
    await owner.close()
    again = await membership.acquire(0)
    assert dict(again.restored.entries) == {}
    await again.commit(Transaction(0, [signal(b"after")]))
    assert await values(log, SIGNALS.name) == [b"after"]


async def test_a_position_below_the_logs_start_is_a_stated_gap(
    connect: Connect, admin: AIOKafkaAdminClient, prefix: str
) -> None:
    log = connect()
    await log.start()
    await log.append(posts(10))
    membership, owner = await acquired(log)
    await owner.commit(Transaction(2))
    await owner.close()
    await admin.delete_records({TopicPartition(prefix + POSTS.name, 0): RecordsToDelete(before_offset=6)})
    again = await membership.acquire(0)
    assert again.restored.gap == (2, 6)
    assert again.restored.next == 6
    assert [one.value for one in (await again.read(100, 5)).records] == [b"post %d" % n for n in range(6, 10)]
    await again.commit(Transaction(10))

    reader_membership, reader = await acquired(log, group=Group("reader", POSTS.name))
    assert await reader.seek(3) == (3, 6)
    assert (await reader.read(1, 5)).records[0].offset == 6
    # Retention overtakes a reader whose queue is empty: it is told, not moved.
    await reader.seek(9)
    await reader.read(1, 5)
    with pytest.raises(Damaged):
        await reader.seek(1000)
    await reader_membership.leave(asyncio.get_running_loop().time() + 5)


async def _dealt_with(log: KafkaLog, count: int) -> None:
    """`count` posts are appended and dealt with, and the group says so."""
    await log.append(posts(count))
    membership, owner = await acquired(log)
    batch = await owner.read(count, 5)
    while batch.next < count:
        batch = await owner.read(count, 5)
    await owner.commit(Transaction(batch.next, changes={"count": b"%d" % count}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await log.lag(SCORER.name, POSTS.name):
            await asyncio.sleep(0.05)
    await membership.leave(asyncio.get_running_loop().time() + 5)


async def _made_anew(connect: Connect, admin: AIOKafkaAdminClient, name: str) -> KafkaLog:
    await admin.delete_topics([name])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while name in await admin.list_topics():
            await asyncio.sleep(0.05)
    log = connect()
    await log.start()
    return log


@pytest.mark.parametrize("later", [0, 4, 25])
async def test_posts_on_a_topic_that_was_made_anew_are_read_whatever_the_position_said(
    connect: Connect, admin: AIOKafkaAdminClient, prefix: str, later: int
) -> None:
    log = connect()
    await log.start()
    await _dealt_with(log, 10)
    await log.close()
    log = await _made_anew(connect, admin, prefix + POSTS.name)
    await log.append(posts(later))
    membership, owner = await acquired(log)
    restored = owner.restored
    assert (restored.next, restored.moved_from, restored.entries["count"]) == (0, 10, b"10")
    read: list[bytes | None] = []
    while len(read) < later:
        batch = await owner.read(100, 5)
        read += [record.value for record in batch.records]
    assert read == [b"post %d" % n for n in range(later)]
    await owner.commit(Transaction(later))
    await owner.close()
    again = await membership.acquire(0)
    assert again.restored.next == later


async def test_a_state_that_is_older_than_what_was_done_is_told(
    connect: Connect, admin: AIOKafkaAdminClient, prefix: str
) -> None:
    log = connect()
    await log.start()
    await _dealt_with(log, 10)
    await log.close()
    log = await _made_anew(connect, admin, prefix + CASCADES.name)
    _, owner = await acquired(log)
    assert (owner.restored.next, owner.restored.moved_from, dict(owner.restored.entries)) == (0, 10, {})


async def test_a_position_of_this_log_is_left_alone(connect: Connect) -> None:
    log = connect()
    await log.start()
    await _dealt_with(log, 10)
    await log.append(posts(5))
    _, owner = await acquired(log)
    assert (owner.restored.next, owner.restored.moved_from) == (10, None)


async def test_an_independent_reader_sees_no_aborted_record(kafka: LocalKafka, connect: Connect, prefix: str) -> None:
    log = connect()
    await log.start()
    await log.append(posts(3))
    membership, owner = await acquired(log)
    for n in range(3):
        await owner.commit(Transaction(n, [signal(b"good %d" % n)]))
    async with stranger(kafka, prefix) as other:
        await other.begin_transaction()
        await other.send_and_wait(prefix + SIGNALS.name, b"aborted", b"acme", partition=0)
        await other.abort_transaction()
    again = await membership.acquire(0)
    await again.commit(Transaction(3, [signal(b"good 3")]))
    tp = TopicPartition(prefix + SIGNALS.name, 0)
    await all_ended(kafka.bootstrap, [tp])
    seen: dict[str, list[bytes]] = {}
    for level in ("read_committed", "read_uncommitted"):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap, isolation_level=level, auto_offset_reset="earliest", group_id=None
        )
        await consumer.start()
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        seen[level] = []
        while await consumer.position(tp) < end:
            seen[level] += [one.value for one in (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])]
        await consumer.stop()
    good = [b"good %d" % n for n in range(4)]
    assert seen["read_committed"] == good
    assert sorted(seen["read_uncommitted"]) == [b"aborted", *good]


async def test_members_that_come_and_go_lose_and_double_nothing(connect: Connect) -> None:
    writer = connect()
    await writer.start()
    copiers = [Copier(connect()) for _ in range(3)]
    for copier in copiers:
        await copier.log.start()
    await copiers[0].start()
    total = 600

    async def write() -> None:
        for n in range(0, total, 10):
            await writer.append([Message(POSTS.name, f"k{m}", b"%d" % m) for m in range(n, n + 10)])
            await asyncio.sleep(0.05)

    async with asyncio.timeout(PATIENCE_SECONDS):
        writing = asyncio.create_task(write())
        await copiers[1].start()
        await until(lambda: copiers[1].lanes)
        await copiers[0].stop()
        await copiers[2].start()
        await until(lambda: copiers[2].lanes)
        await copiers[1].stop()
        await writing
        while len(found := await values(writer, SIGNALS.name)) < total:
            await asyncio.sleep(0.1)
    assert Counter(found) == {b"%d" % n: 1 for n in range(total)}
    await copiers[2].stop()


async def test_a_restart_under_the_same_instance_name_revokes_nothing_from_the_others(connect: Connect) -> None:
    first, second = connect(instance="scorer-0"), connect(instance="scorer-1")
    await first.start()
    await second.start()
    _, ours = await joined(first)
    membership, theirs = await joined(second, having=1)
    await ours.having(2)
    before, held = ours.revocations, theirs.ours
    await membership.leave(asyncio.get_running_loop().time() + 5)
    again = connect(instance="scorer-1")
    await again.start()
    _, back = await joined(again, having=1)
    assert back.ours == held
    assert ours.revocations == before


async def test_names_carry_the_prefix_on_the_wire_and_nowhere_else(
    connect: Connect, admin: AIOKafkaAdminClient, prefix: str
) -> None:
    log = connect()
    await log.start()
    await log.append(posts(1))
    assert {prefix + POSTS.name, prefix + CASCADES.name} <= set(await admin.list_topics())
    record = (await log.read(POSTS.name, 0, 0, 10)).records[0]
    assert (record.topic, record.key) == (POSTS.name, "k0")
    assert abs(record.appended_ms / 1000 - time.time()) < 60
    assert await log.verify_topics() == []


async def test_topics_with_texts_are_kept_as_long_as_was_asked_for_and_a_longer_one_is_said(
    connect: Connect, admin: AIOKafkaAdminClient, prefix: str
) -> None:
    log = connect(topics=keeping_texts(24))
    await log.start()
    assert await log.verify_topics() == []
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, prefix + SIGNALS.name)])
    settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert settings["retention.ms"] == str(24 * 3_600_000)
    assert settings["segment.ms"] == str(6 * 3_600_000), "what stands in an open segment is never deleted"
    shorter = connect(topics=keeping_texts(12))
    said = [one for one in await shorter.verify_topics() if "FIREBREAK_KEEP_TEXTS_HOURS" in one]
    assert len(said) == 8
    assert all(any(topic in one for topic in ("posts", "signals", "incidents", "deadletter")) for one in said)


async def test_a_changelog_follows_its_input_and_a_mismatch_is_refused(
    connect: Connect, admin: AIOKafkaAdminClient, prefix: str
) -> None:
    await admin.create_topics([NewTopic(prefix + POSTS.name, 5, 1), NewTopic(prefix + "firebreak.baselines", 2, 1)])
    log = connect()
    with pytest.raises(ConfigError, match="baselines has 2 partitions"):
        await log.start()
    assert len(await log.bounds(CASCADES.name)) == 5
    problems = await log.verify_topics()
    assert any("baselines has 2 partitions" in one for one in problems)
    assert any("message.timestamp.type" in one for one in problems)


async def test_a_broker_that_restarts_in_between_loses_and_doubles_nothing(
    own_kafka: LocalKafka, connect: Connect
) -> None:
    log, other = connect(own_kafka.bootstrap), connect(own_kafka.bootstrap)
    await log.start()
    await other.start()
    copier = Copier(other)
    await copier.start()
    await until(lambda: copier.lanes)
    taken: set[bytes] = set()
    offered = 0
    stop = asyncio.Event()

    async def write() -> None:
        nonlocal offered
        while not stop.is_set():
            batch = [b"%d" % n for n in range(offered, offered + 10)]
            offered += 10
            try:
                await log.append([Message(POSTS.name, value.decode(), value) for value in batch])
            except Unavailable:
                await asyncio.sleep(0.1)
            else:
                taken.update(batch)

    writing = asyncio.create_task(write())
    await until(lambda: len(taken) > 100)
    await asyncio.to_thread(own_kafka.restart)
    before = len(taken)
    await until(lambda: len(taken) > before + 100)
    stop.set()
    await writing
    async with asyncio.timeout(PATIENCE_SECONDS):
        # What was refused may have been stored; what was taken must be there, and each stored post is copied once.
        while await log.lag("scorer", POSTS.name):
            await asyncio.sleep(0.2)
    posted, copied = Counter(await values(log, POSTS.name)), Counter(await values(log, SIGNALS.name))
    assert taken <= set(posted)
    assert copied == posted
    await copier.stop()


@pytest.mark.parametrize("task", ["reader", "reporter"])
async def test_a_reader_or_reporter_that_fails_stops_the_process_with_that_reason(
    kafka: LocalKafka, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    members: list[KafkaMembership] = []

    async def fail(member: KafkaMembership, *_: object) -> None:
        while not member.assigned:
            await asyncio.sleep(0.01)
        members.append(member)
        raise RuntimeError(f"a bug in the {task}")

    # What a poll raises makes the reader join anew; only what that raises is the end of it.
    for name in ("_poll", "_rejoin") if task == "reader" else ("_report",):
        monkeypatch.setattr(KafkaMembership, name, fail)
    settings = Settings(
        _env_file=None,
        data=tmp_path,
        log="kafka",
        kafka_bootstrap=kafka.bootstrap,
        kafka_prefix=prefix,
        partitions=PARTITIONS,
        port=0,
        stop_seconds=10,
    )
    process = Process(settings, parse("brands: [{id: acme, name: Acme}]"), ("scorer",))
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(process.run(asyncio.Event()), PATIENCE_SECONDS)
    assert caught.group_contains(RuntimeError, match=f"a bug in the {task}")
    assert members
    assert not any(member.assigned for member in members)


@pytest.mark.parametrize("away", ["killed", "stopped"])
async def test_with_the_broker_away_everything_is_bounded_and_comes_back(
    own_kafka: LocalKafka, connect: Connect, away: str
) -> None:
    log, closing = (connect(own_kafka.bootstrap, transaction_timeout_ms=4000) for _ in range(2))
    for one in (log, closing):
        await one.start()
    membership, owner = await acquired(log)
    await acquired(closing, group=Group("other", POSTS.name, CASCADES.name))
    await log.append(posts(3))
    if away == "killed":
        await asyncio.to_thread(own_kafka.kill)
    else:
        own_kafka.pause()
    try:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(Unavailable):
            await log.append(posts(1))
        assert loop.time() - began < 2 * APPEND_SECONDS
        began = loop.time()
        with pytest.raises(Unavailable):  # nobody waits twice for the same outage
            await log.append(posts(1))
        assert loop.time() - began < APPEND_SECONDS / 2
        began = loop.time()
        results = await asyncio.gather(
            log.lag("scorer", POSTS.name),
            log.bounds(POSTS.name),
            log.read(POSTS.name, 0, 0, 1),
            owner.behind(),
            owner.commit(Transaction(1, [signal(b"x")])),
            membership.acquire(1),
            log.join(Group("new", POSTS.name), Ownership()),
            return_exceptions=True,
        )
        assert all(isinstance(one, LogError) for one in results), results
        assert loop.time() - began < 15
        began = loop.time()
        await closing.close()
        assert loop.time() - began < 12
    finally:
        if away == "killed":
            await asyncio.to_thread(own_kafka.restart)
        else:
            own_kafka.resume()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await log.append([Message(POSTS.name, "k", b"back", 1)])
            except Unavailable:
                await asyncio.sleep(0.1)
            else:
                break
        while True:
            try:
                back = await membership.acquire(1)
                break
            except (NotAssigned, Unavailable, Fenced):
                await asyncio.sleep(0.2)
        assert b"back" in [one.value for one in (await back.read(10, 10)).records]
