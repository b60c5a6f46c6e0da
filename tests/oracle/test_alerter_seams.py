"""The alerter killed at each of its seams, between signal, incident and webhook: nobody stays untold, no id changes, and only
what was in flight is told twice."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import pytest

from services.base.clock import RealClock
from services.base.crashpoints import SEAMS
from services.contracts.changed import PostEdited
from services.contracts.codec import decode
from services.contracts.incident import IncidentChanged
from services.contracts.post import AuthorChanged
from services.contracts.signal import PostRedacted
from services.contracts.topics import INCIDENTS, SIGNALS
from services.eventlog.base import EventLog, Message
from services.tools.drills.player import serving
from services.tools.sink import Sink, Webhooked
from tests.oracle.compare import records
from tests.oracle.scenes import Fates, played
from tests.oracle.simulator import simulate
from tests.oracle.stage import ADMIN_KEY, Stage, stage_at, stage_on_kafka, until

pytest_plugins = ["tests.kafka_fixture"]

ALERTER_SEAMS: Final = tuple(seam for seam in SEAMS if seam.startswith(("alerter.", "delivery.")))
UNDISTURBED: Final = "undisturbed"
ENDPOINT: Final = "front-desk"


@dataclass(frozen=True)
class Told:
    """What the alerter left behind, and what arrived."""

    received: Sequence[Webhooked]
    incidents: set[tuple[Any, ...]]
    sequences: dict[str, int]
    deliveries: dict[str, str]
    attempts: Counter[str]
    cut_off: set[str]
    changes: dict[tuple[str, int], set[str]]


async def _alerted(stage: Stage, signals: Sequence[Message], crash: str | None) -> Told:
    sink = Sink(RealClock())
    alerter = stage.actor("alerter")
    await alerter.start(crash)
    await alerter.ready()
    async with serving(sink) as url:
        await _subscribe(alerter.url, url, sink)
        await stage.append(signals)
        if crash is not None:
            await alerter.dies()
            await alerter.start()
        async with stage.log() as log:
            await until(lambda: _is_done(stage, log, len(signals)), "every incident to be told", every=0.2)
        assert await alerter.stop() == 0, alerter.said()[-2000:]
    return await _look(stage, sink)


async def _subscribe(alerter: str, sink_url: str, sink: Sink) -> None:
    async with httpx2.AsyncClient(timeout=30, headers={"authorization": f"Bearer {ADMIN_KEY}"}) as client:
        hook = {"name": ENDPOINT, "url": f"{sink_url}/hooks/{ENDPOINT}"}
        answer = await client.post(f"{alerter}/v1/endpoints", json=hook)
        assert answer.status_code == 201, answer.text
        sink.secrets[ENDPOINT] = answer.json()["secret"]


def _rows(stage: Stage, query: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{stage.directory}/alerter.db?mode=ro", uri=True, timeout=5)) as database:
        return database.execute(query).fetchall()


async def _is_done(stage: Stage, log: EventLog, signals: int) -> bool:
    pending = "SELECT (SELECT COUNT(*) FROM deliveries WHERE state = 'pending') + (SELECT COUNT(*) FROM publications)"
    if _rows(stage, pending) != [(0,)]:
        return False
    positions = dict(_rows(stage, "SELECT partition, next FROM positions"))
    bounds = await log.bounds(SIGNALS.name)
    for partition, (start, after) in bounds.items():
        unread = (await log.read(SIGNALS.name, partition, positions.get(partition, start), 1)).records
        if unread and unread[0].offset < after:
            return False
    return sum(after - start for start, after in bounds.values()) >= signals


async def _look(stage: Stage, sink: Sink) -> Told:
    changes: dict[tuple[str, int], set[str]] = {}
    async with stage.log() as log:
        for record in await records(log, INCIDENTS.name):
            envelope = decode(record.value)
            assert isinstance(envelope.event, IncidentChanged)
            incident = envelope.event.incident
            changes.setdefault((incident.id, incident.sequence), set()).add(envelope.id)
    return Told(
        sink.received,
        set(_rows(stage, "SELECT brand, story, ordinal, state, severity FROM incidents")),
        dict(_rows(stage, "SELECT id, sequence FROM incidents")),
        dict(_rows(stage, "SELECT id, state FROM deliveries")),
        Counter(row[0] for row in _rows(stage, "SELECT delivery FROM attempts")),
        {row[0] for row in _rows(stage, "SELECT delivery FROM attempts WHERE outcome = 'unknown'")},
        changes,
    )


def _meaning(message: Webhooked) -> tuple[str, ...]:
    """Not the whole body: between two attempts a post that it quotes may be deleted, and is then left out."""
    body, told = message.body, message.body["data"]
    if body["type"] in ("post.redacted", "post.edited"):
        return body["type"], body["timestamp"], told["incident"], told["post_id"]
    return body["type"], body["timestamp"], told["id"], str(told["sequence"])


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    """What a scorer makes of a night."""

    async def score(stage: Stage) -> list[Message]:
        await stage.append(simulate(9, 900).messages(poison=0))
        scorer = stage.actor("scorer")
        await scorer.start()
        sight = await stage.finish(scorer)
        return [Message(SIGNALS.name, record.key, record.value) for record in sight.signals]

    found = played({"night": score}, lambda _: stage_at(tmp_path_factory.mktemp("signals"))).outcome("night")
    changes = [message for message in found if _changed(message) is not None]
    raced = _raced(changes)
    assert 0 < len(raced) < len(changes)
    return [message for message in found if message not in raced]


def _raced(changes: Sequence[Message]) -> list[Message]:
    """Those of posts and authors of whose deletion, edit or erasure the lanes of several brands hear. Whichever hears of it
    first changes the post in all that the others have not applied yet: how often an incident changes then depends on which lane
    is ahead."""
    brands: dict[str | None, set[str]] = defaultdict(set)
    for message in changes:
        brands[_changed(message)].add(message.key)
    return [message for message in changes if len(brands[_changed(message)]) > 1]


def _changed(message: Message) -> str | None:
    """What is said to have changed: a post, or all of an author."""
    match decode(message.value).event:
        case PostRedacted(post_id=post):
            return post
        case PostEdited(post=card):
            return card.post_id
        case AuthorChanged(author_id=author):
            return f"author {author}"
    return None


def _scenes(signals: Sequence[Message]) -> dict[str, Any]:
    crashes: dict[str, str | None] = {UNDISTURBED: None, **{seam: f"{seam}:2" for seam in ALERTER_SEAMS}}
    return {name: lambda stage, crash=crash: _alerted(stage, signals, crash) for name, crash in crashes.items()}


# The clock at its own pace: what happens by itself after minutes is not what is tested here.
CLOCK: Final = {"FIREBREAK_CLOCK_SPEED": "1"}


@pytest.fixture(scope="module")
def on_sqlite(signals: Sequence[Message], tmp_path_factory: pytest.TempPathFactory) -> Fates[Told]:
    return played(_scenes(signals), lambda _: stage_at(tmp_path_factory.mktemp("sqlite"), **CLOCK))


@pytest.fixture(scope="module")
def on_kafka(signals: Sequence[Message], kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Fates[Told]:
    return played(
        _scenes(signals), lambda _: stage_on_kafka(kafka.bootstrap, tmp_path_factory.mktemp("kafka"), **CLOCK)
    )


def _judge(told: Told, undisturbed: Told) -> None:
    assert told.incidents == undisturbed.incidents
    assert len(told.incidents) >= 3
    assert set(told.deliveries.values()) == {"delivered"}
    arrived = Counter(message.id for message in told.received)
    assert set(arrived) == set(told.deliveries), "each delivery arrived under its own id, and nothing else did"
    twice = {name for name, times in arrived.items() if times > 1}
    assert twice <= told.cut_off, "only what was in flight at the crash is told twice"
    assert all(arrived[name] <= told.attempts[name] for name in arrived)
    for name in twice:
        meant = {_meaning(message) for message in told.received if message.id == name}
        assert len(meant) == 1, "the same message under the same id"
    assert told.sequences == undisturbed.sequences
    assert told.changes.keys() == undisturbed.changes.keys(), "each change that people hear of was published"
    assert all(len(ids) == 1 for ids in told.changes.values()), "and under one id, however often"


@pytest.mark.parametrize("seam", [UNDISTURBED, *ALERTER_SEAMS])
def test_a_crash_leaves_nobody_untold(on_sqlite: Fates[Told], seam: str) -> None:
    _judge(on_sqlite.outcome(seam), on_sqlite.outcome(UNDISTURBED))


def test_what_was_sent_and_not_recorded_is_sent_again_under_its_id(on_sqlite: Fates[Told]) -> None:
    told = on_sqlite.outcome("delivery.sent")
    assert told.cut_off
    assert {message.id for message in told.received} >= told.cut_off


@pytest.mark.kafka
@pytest.mark.parametrize("seam", [UNDISTURBED, *ALERTER_SEAMS])
def test_a_crash_leaves_nobody_untold_on_kafka(on_kafka: Fates[Told], seam: str) -> None:
    _judge(on_kafka.outcome(seam), on_kafka.outcome(UNDISTURBED))
