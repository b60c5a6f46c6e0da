"""Holds what a scorer left behind against the reference: its committed state and every record that a committed reader sees.

`differences` returns sentences, one for each thing lost, doubled or invented; an exact night gives none.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from scorer.seen import ID_BYTES
from scorer.state_tools import cascades
from scorer.virality.cascade import Cascade
from services.contracts.topics import DEADLETTER, POSTS, SIGNALS, WATCH
from services.eventlog.base import EventLog, Record
from tests.oracle.reference import Forward, Letter, Link, Minute, Reference, Signal

COUNTED: Final = ("story", "brands", "reposts", "quotes", "replies", "snapshot", "scored", "negative")
TIMELY: Final = frozenset({"told", "looked", "claims", "crossed", "recent", "sealed", "versions"})
READ: Final = frozenset({"scored", "negative"})
SHOWN: Final = 5
"""Of each sort: enough to see what went wrong, few enough to read."""


@dataclass(frozen=True)
class Sight:
    """Everything there is to see of a log whose scorers have stopped."""

    state: Mapping[str, Cascade]
    posts: list[Record]
    signals: list[Record]
    watch: list[Record]
    letters: list[Record]

    def fingerprint(self) -> dict[str, Any]:
        """The state without what was told, claimed and looked at when, and in which order: the same after any run over the same
        records.

        Left out are conversations to which another lane passed posts on. When these arrive among the others is open, and
        with it the shape of the growth; that each was counted once is the reference's to say. Where another lane says whose
        story a conversation is, what was written before that was not read, so how many were is left out there.
        """
        passed_on, linked = self._named_by(b'"forwarded":'), self._named_by(b'"story.linked"')
        return {
            name: {
                **{
                    key: value
                    for key, value in msgspec.to_builtins(cascade).items()
                    if key not in TIMELY and not (name in linked and key in READ)
                },
                "seen": cascade.sealed + len(cascade.recent) // ID_BYTES,
            }
            for name, cascade in self.state.items()
            if name not in passed_on
        }

    def _named_by(self, mark: bytes) -> set[str]:
        """The conversations of the posts' records that hold `mark`."""
        found = [record.value for record in self.posts if record.value is not None and mark in record.value]
        return {json.loads(value)["data"]["conversation"] for value in found}


async def records(log: EventLog, topic: str) -> list[Record]:
    """All committed records, partition by partition, in order."""
    found: list[Record] = []
    for partition, (start, after) in sorted((await log.bounds(topic)).items()):
        offset = start
        while offset < after:
            batch = await log.read(topic, partition, offset, 1000)
            found += batch.records
            if not batch.records:
                break
            offset = batch.next
    return found


async def look(log: EventLog) -> Sight:
    """`log` must be started, and no scorer may run."""
    return Sight(
        await cascades(log),
        await records(log, POSTS.name),
        await records(log, SIGNALS.name),
        await records(log, WATCH.name),
        await records(log, DEADLETTER.name),
    )


def reference_of(sight: Sight, brands: Iterable[str]) -> Reference:
    reference = Reference(tuple(brands))
    reference.feed(sight.posts)
    return reference


def differences(sight: Sight, reference: Reference) -> list[str]:
    """What is not as it must be. Nothing lost, nothing doubled, in state and log."""
    seen = _Seen(sight)
    return [
        *_state(sight.state, reference),
        *_counted("signal", reference.signals, seen.signals - _redacted_unasked(reference, seen.signals)),
        *_counted("story link", reference.links, seen.links),
        *_counted("forwarded post", Counter(reference.forwards), Counter(seen.forwards)),
        *_counted("dead letter", reference.letters, seen.letters),
        *_counted("post in a minute's volume", reference.volumes, seen.volumes),
        *_doubled("signal id", seen.ids),
        *_forecasts(sight.state, seen),
    ]


def _redacted_unasked(reference: Reference, found: Counter[Signal]) -> Counter[Signal]:
    """Redactions of deleted posts whose deletion did not find this conversation, because the record that says where they stand
    is lost: said only when a forecast would have shown the post. That each is said once, its id tells."""
    deleted = {name.partition(":")[2] for _, name in reference.deleted}
    unasked = (signal for signal in found if signal.type == "post.redacted" and signal not in reference.signals)
    return Counter(signal for signal in unasked if signal.post in deleted)


class _Seen:
    def __init__(self, sight: Sight) -> None:
        self.signals: Counter[Signal] = Counter()
        self.links: Counter[Link] = Counter()
        self.forwards: set[Forward] = set()
        self.letters: Counter[Letter] = Counter()
        self.volumes: Counter[Minute] = Counter()
        self.ids: Counter[str] = Counter()
        self.numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.watched: Counter[tuple[str, tuple[str, ...]]] = Counter()
        for record in sight.signals:
            wire = json.loads(record.value or b"")
            self.ids[wire["id"]] += 1
            self._signal(wire["type"], wire["data"], record.key)
        for record in sight.posts:
            if record.value is not None and record.value.startswith(b'{"type":"story.linked"'):
                data = json.loads(record.value)["data"]
                self.links[Link(data["conversation"], data["story"], tuple(data["brands"]))] += 1
            elif record.value is not None and b'"forwarded":' in record.value:
                data = json.loads(record.value)["data"]
                self.forwards.add(Forward(data["kind"], data["post_id"], data["conversation"]))
        for record in sight.letters:
            data = json.loads(record.value or b"")
            self.letters[Letter(data["partition"], data["offset"], data["reason"])] += 1
        for record in sight.watch:
            self.watched[record.key, tuple(json.loads(record.value or b"")["data"]["brands"])] += 1

    def _signal(self, kind: str, data: dict[str, Any], key: str) -> None:
        place = data.get("conversation", "")
        if kind == "cascade.forecast":
            self.numbers[place, data["brand"]].append(data["number"])
        elif kind == "brand.volume":
            self.volumes[Minute(data["lane"], data["brand"])] += data["posts"]
        elif kind == "source.coverage":
            moment = datetime.fromisoformat(data["begins"]).timestamp()
            self.signals[Signal(kind, f"{data['connector']}@{moment:.0f}", key, "")] += 1
        elif kind == "author.changed":
            self.signals[Signal(kind, data["author_id"], key, "")] += 1
        elif kind == "stage.moved":
            return  # of the installation, not of a post
        elif kind == "post.answered":
            self.signals[Signal(kind, f"{data['answer_id']}>{data['post_id']}", data["brand"], place)] += 1
        else:
            post = data["post"]["post_id"] if "post" in data else data["post_id"]
            self.signals[Signal(kind, post, data["brand"], place)] += 1


def _state(state: Mapping[str, Cascade], reference: Reference) -> Iterable[str]:
    yield from _some("conversation lost", sorted(reference.talks.keys() - state.keys()))
    yield from _some("conversation invented", sorted(state.keys() - reference.talks.keys()))
    wrong = []
    for name in sorted(reference.talks.keys() & state.keys()):
        found = {key: getattr(state[name], key) for key in COUNTED}
        expected = reference.talks[name].counts()
        if found != expected:
            wrong.append(
                f"{name}: " + ", ".join(f"{k} {found[k]}, not {v}" for k, v in expected.items() if v != found[k])
            )
    yield from _some("conversation miscounted", wrong)


def _counted(what: str, expected: Counter[Any], found: Counter[Any]) -> Iterable[str]:
    yield from _some(f"{what} lost", [f"{key} x{n}" for key, n in sorted((expected - found).items())])
    yield from _some(f"{what} doubled or invented", [f"{key} x{n}" for key, n in sorted((found - expected).items())])


def _doubled(what: str, found: Counter[str]) -> Iterable[str]:
    yield from _some(f"{what} seen more than once", [f"{key} x{n}" for key, n in found.items() if n > 1])


def _forecasts(state: Mapping[str, Cascade], seen: _Seen) -> Iterable[str]:
    """Numbers run from 1 without a gap, in the order in which they are read, up to what the state remembers."""
    torn = [f"{key}: {numbers}" for key, numbers in seen.numbers.items() if numbers != list(range(1, len(numbers) + 1))]
    yield from _some("forecasts out of order", torn)
    told = {(name, brand): one.number for name, cascade in state.items() for brand, one in cascade.told.items()}
    said = {key: len(numbers) for key, numbers in seen.numbers.items()}
    yield from _some("forecast that only the state or only the log has", sorted(map(str, told.items() ^ said.items())))
    first = Counter(place for place, _ in said)
    watched = Counter(key for key, _ in seen.watched.elements())
    yield from _counted("watch request", first, watched)


def _some(what: str, found: list[Any]) -> Iterable[str]:
    if found:
        more = f" (and {len(found) - SHOWN} more)" if len(found) > SHOWN else ""
        yield f"{len(found)} x {what}: " + "; ".join(map(str, found[:SHOWN])) + more
