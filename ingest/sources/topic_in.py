"""A topic of Kafka in which somebody else's posts stand (kind `kafka`), as JSON, one document a record.

The cursor holds the next offset of each partition; the cluster holds nothing of ours. What retention deleted before it was read
is stated as a gap.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, cast

from ingest.parsing import MAX_ITEM_BYTES
from ingest.sources.base import Away, Cursor, Heard, Missed, Probe, Refused, SourceContext
from ingest.sources.mapping import items_of
from services.base.clock import moment
from services.config.connectors.topic_in import TopicInSection
from services.eventlog.base import Unavailable
from services.eventlog.kafka.foreign import Denied, ForeignRecord, ForeignTopic, OutOfRange

READ_RECORDS: Final = 500
READ_SECONDS: Final = 1.0
LATE: Final = timedelta(hours=1)
"""What was appended so long ago is history."""
EARLIER: Final = timedelta(minutes=1)
UNREADABLE: Final[Mapping[str, Any]] = {"post_id": ""}
"""Stands for a record that is no post: it is rejected and counted like any bad item."""


class TopicIn:
    """One topic (protocol `ingest.sources.base.Source`)."""

    silence_seconds: float | None = None

    def __init__(self, context: SourceContext) -> None:
        self._section = cast("TopicInSection", context.options)
        self._network = context.network
        self._clock = context.clock
        self._secrets = context.secrets
        self._reading: ForeignTopic | None = None

    async def listen(self, cursor: Cursor | None) -> AsyncIterator[Heard]:
        offsets, since = {}, None
        if cursor is not None and cursor.origin == self._origin:
            offsets = {int(partition): offset for partition, offset in json.loads(cursor.position).items()}
        elif cursor is not None:
            since = cursor.at - EARLIER
        try:
            topic = self._reading = await self._opened()
            # A partition that was added since is new altogether.
            earliest = bool(offsets) or self._section.begin == "earliest"
            offsets = await topic.begin(offsets, since, earliest=earliest)
            at = self._clock.now() if cursor is None else cursor.at
            while True:
                try:
                    records = await topic.read(READ_RECORDS, READ_SECONDS)
                except OutOfRange as gone:
                    offsets |= await topic.to_start(gone.partitions)
                    missed = Missed(at, None, "the topic's retention deleted records before they were read")
                    yield Heard((), Cursor(self._origin, json.dumps(offsets), at), (missed,))
                    continue
                for record in records:
                    offsets[record.partition] = record.offset + 1
                    at = max(at, moment(record.appended_ms / 1000))
                yield Heard(
                    [item for record in records for item in self._items(record)],
                    Cursor(self._origin, json.dumps(offsets), min(at, self._clock.now())),
                )
        except Denied as denied:
            raise Refused(f"the cluster refuses us: {denied}") from denied
        except Unavailable as away:
            raise Away(str(away)) from away
        finally:
            await self.close()

    async def probe(self) -> Probe:
        try:
            topic = await self._opened()
            try:
                ends = await topic.begin({}, None, earliest=False)
            finally:
                await topic.close()
        except Denied as denied:
            raise Refused(f"the cluster refuses us: {denied}") from denied
        except Unavailable as away:
            raise Away(str(away)) from away
        return Probe(note=f"{len(ends)} partitions, {sum(ends.values())} records so far")

    async def close(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            await reading.close()

    @property
    def _origin(self) -> str:
        return f"{self._section.bootstrap}/{self._section.topic}"

    async def _opened(self) -> ForeignTopic:
        section = self._section
        security: dict[str, Any] = {"security_protocol": section.security_protocol}
        if section.security_protocol.startswith("SASL"):
            security |= {
                "sasl_mechanism": section.sasl_mechanism,
                "sasl_plain_username": self._secrets.get("user"),
                "sasl_plain_password": self._secrets.get("password"),
            }
        topic = ForeignTopic(section.bootstrap, section.topic, **security)
        try:
            await topic.start()
        except BaseException:
            await topic.close()
            raise
        return topic

    def _items(self, record: ForeignRecord) -> Sequence[Mapping[str, Any]]:
        if not record.value:
            return ()
        if len(record.value) > MAX_ITEM_BYTES:
            return (UNREADABLE,)
        try:
            items = items_of(json.loads(record.value), self._section.mapping, self._network)
        except (ValueError, RecursionError):
            return (UNREADABLE,)
        late = self._clock.now() - moment(record.appended_ms / 1000) > LATE
        return [{**item, "backfill": True} for item in items] if late else items


def build(context: SourceContext) -> TopicIn:
    return TopicIn(context)
