"""What the brokers know about offsets, and committed records without a group: for acquiring, lag, tools and tests.

Every answer comes in bounded time or is `Unavailable`. After a failure the client is replaced: aiokafka only ever asks the
brokers that it once learned of, and the next call finds the cluster anew from its bootstrap names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.eventlog.base import Batch, Closed, LogError, Message, Record, Unavailable
from services.eventlog.kafka.transaction_end import TransactionEnd, end_on_record
from services.eventlog.kafka.wire import KAFKA_ERRORS, Wire, brief, record_of

# For a question and its answer. A caller that asks once a second is held up no longer than this.
ANSWER_SECONDS: Final = 5.0
COUNTS_SECONDS: Final = 60.0
# The markers of a commit follow its answer within milliseconds; an open transaction may take its whole timeout.
SETTLE_SECONDS: Final = 0.5
POLL_MS: Final = 200


class Offsets:
    """Safe for concurrent calls."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._clients: dict[str, Any] = {}
        self._browser: AIOKafkaConsumer | None = None
        self._opening = asyncio.Lock()
        self._browsing = asyncio.Lock()
        self._counts: dict[str, int] = {}
        self._counted = float("-inf")
        self._coordinators: dict[str, int] = {}
        self._closed = False

    async def counts(self, topic: str) -> int:
        """Returns how many partitions `topic` has. All topics are asked for at once: asking for one by name may create it."""
        loop = asyncio.get_running_loop()
        name = self._wire.name(topic)
        if name not in self._counts or loop.time() - self._counted > COUNTS_SECONDS:
            described = await self._by_admin(lambda admin: admin.describe_topics())
            self._counts = {one["topic"]: len(one["partitions"]) for one in described}
            self._counted = loop.time()
        found = self._counts.get(name, 0)
        if not found:
            raise LogError(f"there is no topic {name}")
        return found

    async def check_topics(self, messages: Iterable[Message]) -> None:
        """Raises `LogError` for a topic that is not there, before anything is sent: a producer would wait long for it. Asks
        the brokers only about topics that it does not know yet."""
        for topic in {message.topic for message in messages}:
            if self._wire.name(topic) not in self._counts:
                await self.counts(topic)

    async def bounds(self, topic: str, partitions: Sequence[int] | None = None) -> Mapping[int, tuple[int, int]]:
        """Partition -> (first offset kept, next offset of a committed reader)."""
        wanted = range(await self.counts(topic)) if partitions is None else partitions
        tps = [TopicPartition(self._wire.name(topic), number) for number in wanted]

        async def ask(asker: AIOKafkaConsumer) -> dict[int, tuple[int, int]]:
            begins, ends = await asyncio.gather(asker.beginning_offsets(tps), asker.end_offsets(tps))
            return {tp.partition: (begins[tp], ends[tp]) for tp in tps}

        found: dict[int, tuple[int, int]] = await self._ask(ask)
        return found

    async def ends(self, topic: str, partitions: Sequence[int] | None = None) -> Mapping[int, int]:
        """Partition -> end of the log, including what is not settled yet. A commit is answered before its markers are written,
        and only this end shows at once that something is to come. So a distance of zero from it is exact."""
        wanted = range(await self.counts(topic)) if partitions is None else partitions
        tps = [TopicPartition(self._wire.name(topic), number) for number in wanted]
        found = await self._ask(lambda asker: asker.end_offsets(tps), committed=False)
        return {tp.partition: found[tp] for tp in tps}

    async def settled(self, topic: str, partitions: Sequence[int] | None = None) -> Mapping[int, tuple[int, int]]:
        """Like `bounds`, for callers who want to see what was just committed: waits a little for the commit's markers."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLE_SECONDS
        while True:
            ends = await self.ends(topic, partitions)
            found = await self.bounds(topic, partitions)
            if loop.time() >= until or all(found[number][1] >= end for number, end in ends.items()):
                return found
            await asyncio.sleep(SETTLE_SECONDS / 25)

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """Partition -> offset that the group last reported."""
        name = self._wire.name(group)
        tps = [TopicPartition(self._wire.name(topic), number) for number in range(await self.counts(topic))]

        async def ask(admin: AIOKafkaAdminClient) -> dict[int, int]:
            if name not in self._coordinators:
                self._coordinators[name] = await admin.find_coordinator(name)
            try:
                found = await admin.list_consumer_group_offsets(name, self._coordinators[name], tps)
            except AttributeError as error:
                # Its way of saying that the answer held an error: it looks for the code in the wrong place.
                raise KafkaError(f"the offsets of group {name} cannot be read right now") from error
            return {tp.partition: one.offset for tp, one in found.items() if one.offset >= 0}

        answer: dict[int, int] = await self._by_admin(ask)
        return answer

    async def transaction_end(self, transactional_id: str) -> TransactionEnd:
        """Returns how the last transaction under this id ended. It is unknown once a producer of it has been opened since."""
        name = self._wire.name(transactional_id)
        found: TransactionEnd = await self._by_admin(lambda admin: end_on_record(admin, name))
        return found

    async def read(self, topic: str, partition: int, offset: int, max_records: int) -> Batch:
        """Committed records from `offset` on, or from the log's start where that is later. Does not wait for new ones."""
        start, end = (await self.settled(topic, [partition]))[partition]
        position = max(offset, start)
        if position >= end or max_records < 1:
            return Batch((), offset)
        async with self._browsing:
            self._check_open()
            browser = self._browser or await self._wire.opened(self._wire.reader(), ANSWER_SECONDS)
            # Kept only when it comes back well: a poll that failed or was cancelled leaves it in doubt.
            self._browser = None
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    batch = await self._browse(browser, topic, partition, position, end, max_records)
            except KAFKA_ERRORS as error:
                self._wire.discard(browser)
                raise Unavailable(f"reading {topic}[{partition}] failed: {brief(error)}") from error
            except BaseException:
                self._wire.discard(browser)
                raise
            self._browser = browser
            return batch

    async def close(self) -> None:
        self._closed = True
        for client in (*self._clients.values(), self._browser):
            if client is not None:
                self._wire.discard(client)
        self._clients.clear()
        self._browser = None

    async def _browse(
        self, browser: AIOKafkaConsumer, topic: str, partition: int, position: int, end: int, max_records: int
    ) -> Batch:
        tp = TopicPartition(self._wire.name(topic), partition)
        browser.assign([tp])
        browser.seek(tp, position)
        records: list[Record] = []
        while not records and await browser.position(tp) < end:
            for found in (await browser.getmany(tp, timeout_ms=POLL_MS, max_records=max_records)).values():
                records += [record_of(topic, raw) for raw in found]
        browser.pause(tp)  # or it would go on fetching what nobody asked for
        return Batch(records, records[-1].offset + 1 if records else await browser.position(tp))

    async def _ask(self, question: Callable[[AIOKafkaConsumer], Awaitable[Any]], *, committed: bool = True) -> Any:
        return await self._answer("committed" if committed else "all", lambda: self._wire.reader(committed), question)

    async def _by_admin(self, question: Callable[[AIOKafkaAdminClient], Awaitable[Any]]) -> Any:
        return await self._answer("admin", self._wire.admin, question)

    async def _answer(self, kind: str, make: Callable[[], Any], question: Callable[[Any], Awaitable[Any]]) -> Any:
        """Ask the client of this kind. When one fails that was open already, a new one is asked: a broker may have gone since.
        `ANSWER_SECONDS` covers both, and the wait for another caller that is opening the same client."""
        client: Any = None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                client, fresh = await self._client(kind, make)
                try:
                    return await question(client)
                except KafkaError:
                    if fresh:
                        raise
                    self._drop(kind, client)
                client, _ = await self._client(kind, make)
                return await question(client)
        except (*KAFKA_ERRORS, Unavailable) as error:
            self._drop(kind, client)
            raise Unavailable(f"Kafka does not answer: {brief(error)}") from error

    async def _client(self, kind: str, make: Callable[[], Any]) -> tuple[Any, bool]:
        async with self._opening:
            self._check_open()
            if (client := self._clients.get(kind)) is not None:
                return client, False
            client = self._clients[kind] = await self._wire.opened(make())
            return client, True

    def _drop(self, kind: str, client: Any) -> None:
        """Throw the client away, unless another caller has replaced it already."""
        if client is not None and self._clients.get(kind) is client:
            del self._clients[kind]
            self._wire.discard(client)
            self._coordinators.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the log is closed")
