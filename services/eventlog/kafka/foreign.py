"""Reads a topic of somebody else's cluster, without a group: whoever reads keeps the offsets. Nothing is written there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
from aiokafka.helpers import create_ssl_context

from services.eventlog.base import Unavailable

_DENIALS: Final = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)


class Denied(Exception):
    """The cluster refuses our credentials or permissions."""


class OutOfRange(Exception):
    """The records at these offsets are gone."""

    def __init__(self, partitions: frozenset[int]) -> None:
        super().__init__(f"partitions {sorted(partitions)}")
        self.partitions = partitions


class ForeignRecord(NamedTuple):
    partition: int
    offset: int
    value: bytes | None
    appended_ms: int


class ForeignTopic:
    """One topic. `start` first; every call raises `Unavailable` where the cluster is away, and `Denied`."""

    def __init__(self, bootstrap: str, topic: str, **security: Any) -> None:
        self._topic = topic
        if security.get("security_protocol", "PLAINTEXT").endswith("SSL"):
            security["ssl_context"] = create_ssl_context()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=1 << 20,
            **security,
        )

    async def start(self) -> None:
        try:
            await self._consumer.start()
        except KafkaError as error:
            raise _translated(error) from error

    async def begin(self, offsets: Mapping[int, int], since: datetime | None, *, earliest: bool) -> dict[int, int]:
        """Read on at these offsets. A partition without one begins at `since`, or else at the end or the start. Returns where
        each begins."""
        try:
            if self._topic not in await self._consumer.topics():
                raise Unavailable(f"there is no topic {self._topic!r}")
            # The consumer knows the partitions only of what it was assigned, once it has asked about it.
            first = TopicPartition(self._topic, 0)
            self._consumer.assign([first])
            await self._consumer.end_offsets([first])
            known = self._consumer.partitions_for_topic(self._topic) or {0}
            places = [TopicPartition(self._topic, p) for p in sorted(known)]
            self._consumer.assign(places)
            unknown = [place for place in places if place.partition not in offsets]
            found = {p: offset for p, offset in offsets.items() if p in known}
            if unknown and since is not None:
                at = int(since.timestamp() * 1000)
                ends = await self._consumer.end_offsets(unknown)
                timed = await self._consumer.offsets_for_times(dict.fromkeys(unknown, at))
                for place in unknown:
                    stamp = timed.get(place)
                    found[place.partition] = ends[place] if stamp is None else stamp.offset
            elif unknown:
                bounds = self._consumer.beginning_offsets if earliest else self._consumer.end_offsets
                found |= {place.partition: offset for place, offset in (await bounds(unknown)).items()}
            for place in places:
                self._consumer.seek(place, found[place.partition])
        except KafkaError as error:
            raise _translated(error) from error
        return found

    async def to_start(self, partitions: Collection[int]) -> dict[int, int]:
        """Go on in these partitions at the first record that is kept. Returns its offset in each."""
        try:
            places = [TopicPartition(self._topic, partition) for partition in partitions]
            starts = await self._consumer.beginning_offsets(places)
            for place, offset in starts.items():
                self._consumer.seek(place, offset)
        except KafkaError as error:
            raise _translated(error) from error
        return {place.partition: offset for place, offset in starts.items()}

    async def read(self, most: int, seconds: float) -> list[ForeignRecord]:
        """What comes within so long. Raises `OutOfRange` where the cluster has forgotten our place."""
        try:
            fetched = await self._consumer.getmany(timeout_ms=int(seconds * 1000), max_records=most)
        except OffsetOutOfRangeError as error:
            raise OutOfRange(frozenset(place.partition for place in error.args[0])) from error
        except KafkaError as error:
            raise _translated(error) from error
        return [
            ForeignRecord(record.partition, record.offset, record.value, record.timestamp)
            for records in fetched.values()
            for record in records
        ]

    async def close(self) -> None:
        await self._consumer.stop()


def _translated(error: KafkaError) -> Exception:
    if isinstance(error, _DENIALS):
        return Denied(type(error).__name__)
    return Unavailable(f"the cluster cannot be reached: {type(error).__name__}")
