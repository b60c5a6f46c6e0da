"""Creates the topics that are missing and checks them against the table. What exists is never altered, only reported.

A changelog has as many partitions as its input *really* has, no matter who created it: state of input partition p lives in
changelog partition p.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from services.base.errors import ConfigError
from services.contracts.topics import Topic
from services.eventlog.base import Unavailable
from services.eventlog.kafka.wire import KAFKA_ERRORS, MAX_BATCH_BYTES, OPEN_SECONDS, Wire, brief

CREATE_SECONDS: Final = 30.0
_SEEN_EVERY_SECONDS: Final = 0.05
_MAX_MESSAGE_BYTES: Final = 1_048_588
_SEGMENTS: Final = 4
"""A topic that is kept shorter because of its texts is cut into so many: a record may stay a quarter longer than that."""


def settings_of(topic: Topic, replication: int) -> dict[str, str]:
    """Returns the settings with which a topic of ours is created."""
    found = {
        # The log's own clock, so that retention and `appended_ms` never depend on a client's.
        "message.timestamp.type": "LogAppendTime",
        # With three replicas an acknowledged record survives the loss of one broker, and writing goes on without it.
        "min.insync.replicas": "2" if replication >= 3 else "1",
        "max.message.bytes": str(_MAX_MESSAGE_BYTES),
    }
    if topic.kept is None:
        # Small segments: only closed ones are compacted, and a restore reads whatever is not.
        return found | {"cleanup.policy": "compact", "segment.bytes": "67108864", "min.cleanable.dirty.ratio": "0.2"}
    kept = int(topic.kept.total_seconds() * 1000)
    found |= {"cleanup.policy": "delete", "retention.ms": str(kept)}
    # Only closed segments are deleted, and by default one stays open for a week.
    return found | {"segment.ms": str(kept // _SEGMENTS)} if topic.hurried else found


async def create(wire: Wire, topics: Sequence[Topic], partitions: int, replication: int) -> None:
    """Create what is missing. Raises `Unavailable`, or `ConfigError` if the cluster refuses."""
    admin = await wire.opened(wire.admin())
    try:
        async with asyncio.timeout(CREATE_SECONDS):
            counts = await _counts(admin)
            # Those that others are `like` come first: only then is their real number of partitions known.
            for wave in ([one for one in topics if one.like is None], [one for one in topics if one.like is not None]):
                missing = [one for one in wave if wire.name(one.name) not in counts]
                if missing:
                    await _create(wire, admin, missing, counts, partitions, replication)
                    counts = await _appeared(admin, [wire.name(one.name) for one in missing])
    except KAFKA_ERRORS as error:
        raise Unavailable(f"the topics could not be created: {brief(error)}") from error
    finally:
        wire.discard(admin)
    if wrong := _mismatched(wire, topics, counts):
        raise ConfigError("; ".join(wrong))


async def verify(wire: Wire, topics: Sequence[Topic], replication: int) -> list[str]:
    """Returns what differs from the table, in words for people; nothing when all is well. Raises `Unavailable`."""
    admin = await wire.opened(wire.admin())
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            described = {one["topic"]: one for one in await admin.describe_topics()}
            counts = {name: len(one["partitions"]) for name, one in described.items()}
            there = [one for one in topics if wire.name(one.name) in counts]
            problems = [f"{wire.name(one.name)} is missing" for one in topics if one not in there]
            problems += _mismatched(wire, topics, counts)
            configs = await _configs(admin, [wire.name(one.name) for one in there])
    except KAFKA_ERRORS as error:
        raise Unavailable(f"the topics could not be checked: {brief(error)}") from error
    finally:
        wire.discard(admin)
    for topic in there:
        name = wire.name(topic.name)
        replicas = min(len(one["replicas"]) for one in described[name]["partitions"])
        if replicas < replication:
            problems.append(f"{name} has {replicas} replicas instead of {replication}")
        problems += _differences(name, settings_of(topic, replicas), configs.get(name, {}))
        problems += _kept_longer(topic, name, settings_of(topic, replicas), configs.get(name, {}))
    return problems


def _differences(name: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Reports only what would do harm: how a topic is tuned otherwise is the operator's business."""
    problems = []
    if "compact" in wanted["cleanup.policy"] and "delete" in found.get("cleanup.policy", ""):
        problems.append(f"{name} deletes old records (cleanup.policy={found['cleanup.policy']}): state would be lost")
    if wanted["cleanup.policy"] == "delete" and "compact" in found.get("cleanup.policy", ""):
        problems.append(f"{name} is compacted: of the records of one key only the last would be kept")
    for key, why in (
        ("min.insync.replicas", "an acknowledged record may be lost with one broker"),
        ("max.message.bytes", f"batches of up to {MAX_BATCH_BYTES} bytes are refused"),
        ("retention.ms", "records go before their topic's time"),
    ):
        has, wants = int(found.get(key, -1)), int(wanted.get(key, -1))
        if 0 <= has < wants:
            problems.append(f"{name} has {key}={has}, below {wants}: {why}")
    if found.get("message.timestamp.type", "LogAppendTime") != "LogAppendTime":
        problems.append(f"{name} keeps its writers' times (message.timestamp.type={found['message.timestamp.type']})")
    return problems


def _kept_longer(topic: Topic, name: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Texts that stay longer than was asked for. A topic that is there already keeps its settings: they are the operator's."""
    if not topic.hurried:
        return []
    longer = {key: int(found.get(key, -1)) for key in ("retention.ms", "segment.ms")}
    return [
        f"{name} has {key}={has}, above {wanted[key]}: texts stay longer than FIREBREAK_KEEP_TEXTS_HOURS says"
        for key, has in longer.items()
        if has < 0 or has > int(wanted[key])
    ]


def _mismatched(wire: Wire, topics: Sequence[Topic], counts: Mapping[str, int]) -> list[str]:
    problems = []
    for topic in topics:
        if topic.like is None:
            continue
        has, wants = counts.get(wire.name(topic.name)), counts.get(wire.name(topic.like))
        if has and wants and has != wants:
            problems.append(
                f"{wire.name(topic.name)} has {has} partitions and {wire.name(topic.like)} has {wants}: they must be equal, "
                "since state lives beside its input; add partitions to neither, create them anew"
            )
    return problems


async def _counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    # All topics: a broker may create a topic that is asked for by its name.
    return {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics()}


async def _create(
    wire: Wire,
    admin: AIOKafkaAdminClient,
    topics: Sequence[Topic],
    counts: Mapping[str, int],
    partitions: int,
    replication: int,
) -> None:
    wanted = [
        NewTopic(
            wire.name(topic.name),
            counts.get(wire.name(topic.like), partitions) if topic.like else partitions,
            replication,
            topic_configs=settings_of(topic, replication),
        )
        for topic in topics
    ]
    answer: Any = await admin.create_topics(wanted)
    for name, code, *said in answer.topic_errors:
        # Another process may have been quicker; what it made is checked like any other.
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise ConfigError(
                f"the cluster refused to create {name}: {for_code(code).__name__} {said[0] if said else ''}"
            )


async def _appeared(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    """Wait until every broker that is asked knows the topics and each partition has a leader. The caller bounds the wait."""
    while True:
        described = {one["topic"]: one for one in await admin.describe_topics()}
        if all(name in described and _led(described[name]) for name in names):
            return {name: len(one["partitions"]) for name, one in described.items()}
        await asyncio.sleep(_SEEN_EVERY_SECONDS)


def _led(described: Mapping[str, Any]) -> bool:
    return bool(described["partitions"]) and all(one["leader"] >= 0 for one in described["partitions"])


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answers: Any = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for _code, _said, _kind, name, entries in answer.resources:
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
