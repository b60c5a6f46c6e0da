"""A seeded night as networks tell it: storms and murmurs, quotes of quotes, answers, edits, deletions, authors who are gone,
things said twice or late.

The same night can be posted over HTTP (`Simulation.posts`) or written straight into the log (`Simulation.messages`), there
with records that nobody can read in between. `expected` says which events a log must hold once all was taken in.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.config.loading import parse
from services.config.model import Config
from services.contracts.base import AccountId, BrandId, ConversationId, event_id
from services.contracts.codec import encode
from services.contracts.post import (
    Author,
    AuthorChanged,
    AuthorState,
    Counters,
    CoverageState,
    Mention,
    MentionKind,
    PostDeleted,
    PostKind,
    PostObserved,
    PostPlaced,
    PostRef,
    SourceCoverage,
)
from services.contracts.signal import WatchRequested
from services.contracts.topics import POSTS
from services.eventlog.base import Message

BEGIN: Final = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
LASTS: Final = timedelta(hours=3)
NOW: Final = BEGIN + LASTS
"""When the night is played: everything in it lies in the past, so that no result depends on when a batch was read."""
NETWORK: Final = "x"
BRANDS: Final = {"acme": "Acme Air", "blue": "Blue Rail"}
ACCOUNTS: Final = {"acmeair": "acme", "bluerail": "blue"}
CONFIG: Final[Config] = parse("""
brands:
  - {id: acme, name: Acme Air, accounts: [{network: x, handle: acmeair, owner: care}], line: {engagements: 60}}
  - {id: blue, name: Blue Rail, accounts: [{network: x, handle: bluerail, owner: care}], line: {engagements: 60}}
rules: [{id: viral, level: watch, policy: desk}]
policies: [{id: desk, steps: [{endpoints: [front-desk]}]}]
""")
TEXTS: Final = (
    "Shameful. They lost my bag and nobody answers",
    "This is terrible, never again",
    "Awful service, three hours on hold, no refund",
    "Poor you, that is horrible",
    "I love how they handled this, great work!",
    "Thank you, that was wonderful",
    "On my way to the station",
    "Das ist furchtbar und eine Schande",
    "??? !!!",
    "What {brand} did here is a disgrace",
)
SIZES: Final = (0, 0, 1, 2, 3, 5, 8, 14, 25, 40, 90, 220)
ROOTLESS_SHARE: Final = 0.2
"""Of engagements and deletions: those that are sent without the root of their conversation."""
PARTITIONS: Final = 3
"""Of the log that the night is played on: a deletion goes to each."""
TWICE_SHARE: Final = 0.05
TWICE_WITHIN: Final = 2_000
"""Places in the night: a page may be read again long after its storm has passed."""
LATE: Final = timedelta(minutes=9)


@dataclass(frozen=True)
class Simulation:
    """`posts` in the order in which they arrive, as the ingest API takes them."""

    posts: Sequence[dict[str, Any]]
    seed: int

    def messages(self, poison: int = 12, partitions: int = PARTITIONS) -> list[Message]:
        """The night as records of so many partitions, with `poison` unreadable ones and some heartbeats of a connector strewn
        in."""
        rng = random.Random(f"{self.seed} poison")
        messages = [message for post in self.posts for message in (*observed(post), *noticed(post, partitions))]
        for number in range(poison):
            place = rng.randrange(len(messages))
            messages.insert(place, _unreadable(number, messages[place].key))
        for number in range(5):
            messages.insert(rng.randrange(len(messages)), _heartbeat(number))
        for post in rng.sample([post for post in self.posts if post["author"]], 5):
            for copy in _erasure(post["author"]["id"], partitions):
                messages.insert(rng.randrange(len(messages)), copy)
        return messages

    def expected(self) -> set[str]:
        """The ids of all events that the posts stand for."""
        return {json.loads(message.value or b"")["id"] for post in self.posts for message in observed(post)}


@dataclass
class _Teller:
    rng: random.Random
    run: str
    told: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    count: int = 0

    def say(self, at: float, kind: str, **fields: Any) -> dict[str, Any]:
        """One post that arrives at `at` (a share of the night) and claims a time that may be a little earlier."""
        self.count += 1
        rng = self.rng
        happened = BEGIN + at * LASTS - rng.choice([timedelta(), timedelta(), rng.random() * LATE])
        post: dict[str, Any] = {
            "network": NETWORK,
            "post_id": f"{self.run}{self.count}",
            "kind": kind,
            "platform_at": max(happened, BEGIN).isoformat(),
            "author": {"id": f"a{self.count}", "handle": f"a{self.count}", "followers": rng.choice([None, 3, 40, 900])},
            **fields,
        }
        if kind in {"original", "reply", "quote"} and "text" not in post:
            post["text"] = rng.choice(TEXTS).format(brand=rng.choice(list(BRANDS.values())))
            post["language"] = "de" if post["text"].startswith("Das") else rng.choice(["en", None])
        if rng.random() < 0.03:
            post["backfill"] = True
        self.told.append((at, post))
        return post

    def conversation(self, size: int) -> None:
        rng = self.rng
        at = rng.uniform(0.0, 0.5)
        root = self.say(at, "original", **self._opening())
        members = [root]
        for _ in range(size):
            at += rng.expovariate(size) * (0.98 - at)
            self._engage(min(at, 0.99), root["post_id"], members)
        if rng.random() < 0.15:
            self.say(0.99, "deletion", post_id=root["post_id"], root_id=root["post_id"], author=None)

    def _opening(self) -> dict[str, Any]:
        kind = self.rng.random()
        if kind < 0.2:
            handle = self.rng.choice(list(ACCOUNTS))
            author = {"id": handle, "handle": f"@{handle}", "followers": 50_000}
            return {"author": author, "text": "Good evening everybody, great news"}
        if kind < 0.35:
            return {"text": "A lovely evening"}
        brand = self.rng.choice(list(BRANDS.values()))
        if kind < 0.55:
            return {"text": f"{brand} and " + " and ".join(BRANDS.values()) + ": who is worse? Terrible, both"}
        return {"text": f"{brand} left us stranded, this is a disgrace"}

    def _engage(self, at: float, root: str, members: list[dict[str, Any]]) -> None:
        rng = self.rng
        answers = {"parent_id": rng.choice(members)["post_id"], "root_id": root}
        if rng.random() < ROOTLESS_SHARE:
            del answers["root_id"]
        kind = rng.random()
        if kind < 0.42:
            self.say(at, "repost", **answers)
        elif kind < 0.74:
            members.append(self.say(at, "reply", **answers))
        elif kind < 0.88:
            self._quote(at, answers["parent_id"], root)
        elif kind < 0.91:
            total = {"reposts": rng.randrange(60), "replies": rng.randrange(30), "quotes": None, "likes": 7}
            self.say(at, "counters", post_id=root, counters=total, author=None)
        elif kind < 0.94:
            self._edit(at, rng.choice(members), root)
        elif kind < 0.97:
            handle = rng.choice(list(ACCOUNTS))
            author = {"id": handle, "handle": handle, "followers": 50_000}
            self.say(at, "reply", author=author, text="We are sorry, please write to us", **answers)
        elif len(members) > 1:
            gone = rng.choice(members[1:])
            where = {"root_id": root} if rng.random() > ROOTLESS_SHARE else {}
            self.say(at, "deletion", post_id=gone["post_id"], author=None, **where)

    def _edit(self, at: float, post: dict[str, Any], root: str) -> None:
        """Another text of a post. Some connectors say when it was edited, some know its id alone."""
        where = {} if self.rng.random() < ROOTLESS_SHARE else {"root_id": root}
        text = self.rng.choice(TEXTS).format(brand=self.rng.choice(list(BRANDS.values())))
        edited = self.say(at, "edit", post_id=post["post_id"], text=text, author=None, **where)
        if self.rng.random() < 0.5:
            edited["edited_at"] = (BEGIN + at * LASTS).isoformat()

    def _quote(self, at: float, quoted: str, root: str) -> None:
        quote = self.say(at, "quote", quote_of={"post_id": quoted, "root_id": root})
        own = quote["post_id"]
        for _ in range(self.rng.choice([0, 0, 1, 3])):
            at += self.rng.random() * (0.99 - at)
            if self.rng.random() < 0.25:
                self._quote(at, own, own)
            else:
                self.say(at, self.rng.choice(["reply", "repost"]), parent_id=own, root_id=own)
        if self.rng.random() < 0.1:
            reference = {"post_id": quoted, "root_id": root}
            self.say(0.99, "deletion", post_id=own, root_id=own, quote_of=reference, author=None)


def simulate(seed: int, posts: int = 1500, run: str = "p") -> Simulation:
    """About `posts` arrivals; `run` keeps the ids of several nights in one log apart."""
    teller = _Teller(random.Random(seed), run)
    while teller.count < posts:
        teller.conversation(SIZES[teller.count % len(SIZES)])
    arrivals = [post for _, post in sorted(teller.told, key=lambda told: told[0])]
    for place in reversed(range(len(arrivals))):
        if teller.rng.random() < TWICE_SHARE:
            arrivals.insert(place + teller.rng.randint(1, TWICE_WITHIN), arrivals[place])
    return Simulation(arrivals, seed)


def observed(post: dict[str, Any]) -> Iterable[Message]:
    """The records that a post stands for, written down from the contract, not by the code under test."""
    own_id, kind = post["post_id"], PostKind(post["kind"])
    home = _home(post)
    author = post["author"]
    handle = author["handle"].removeprefix("@") if author else None
    own_brand = ACCOUNTS.get(handle or "")
    text = post.get("text")
    named = [brand for brand, name in BRANDS.items() if name in (text or "")]
    brands = tuple(BrandId(b) for b in dict.fromkeys(([own_brand] if own_brand else []) + named))
    reference, quoted = post.get("quote_of"), None
    if reference is not None:
        quoted = PostRef(post_id=reference["post_id"], conversation=ConversationId(f"{NETWORK}:{reference['root_id']}"))
    event = PostObserved(
        network=NETWORK,
        post_id=own_id,
        kind=kind,
        conversation=home,
        home=home,
        parent_id=post.get("parent_id"),
        quotes=quoted if kind is PostKind.QUOTE else None,
        author=Author(id=author["id"], handle=handle, followers=author["followers"]) if author else None,
        text=text,
        language=post.get("language"),
        brands=brands,
        mentions=tuple(_mentions(text or "")),
        account=AccountId(f"{NETWORK}:{handle}") if own_brand else None,
        author_brand=BrandId(own_brand) if own_brand else None,
        counters=Counters(**post["counters"]) if "counters" in post else None,
        platform_at=datetime.fromisoformat(post["platform_at"]),
        edited_at=_edited_at(post),
        observed_at=NOW,
        backfill=post.get("backfill", False),
    )
    yield _record(event)
    if quoted is not None:
        away: dict[str, Any] = {"conversation": quoted.conversation, "parent_id": quoted.post_id, "quotes": None}
        yield _record(event.model_copy(update=away))


def noticed(post: dict[str, Any], partitions: int) -> Iterable[Message]:
    """What other partitions must know of a post: where a reply or quote stands, and, all of them, that it was deleted."""
    own_id, kind, at = post["post_id"], post["kind"], datetime.fromisoformat(post["platform_at"])
    key = f"{NETWORK}:{own_id}"
    if kind == "deletion":
        deleted = PostDeleted(network=NETWORK, post_id=own_id, at=at)
        value = encode(deleted, event_id(deleted.TYPE, NETWORK, own_id))
        yield from (Message(POSTS.name, key, value, partition) for partition in range(partitions))
    if kind in {"reply", "quote"}:
        reference = post.get("quote_of")
        quoted = None if reference is None else ConversationId(f"{NETWORK}:{reference['root_id']}")
        placed = PostPlaced(network=NETWORK, post_id=own_id, home=_home(post), quoted=quoted, at=at)
        yield Message(
            POSTS.name, key, encode(placed, event_id(placed.TYPE, NETWORK, own_id, placed.home, quoted or ""))
        )


def _home(post: dict[str, Any]) -> ConversationId:
    return ConversationId(f"{NETWORK}:{post.get('root_id') or post.get('parent_id') or post['post_id']}")


def _edited_at(post: dict[str, Any]) -> datetime | None:
    """When the text of an edit was changed: where nobody says so, when the edit was made."""
    return datetime.fromisoformat(post.get("edited_at") or post["platform_at"]) if post["kind"] == "edit" else None


def _mentions(text: str) -> list[Mention]:
    """Where the texts of the night name brands: as they are configured, and never inside another word."""
    places = [(at.start(), brand, name) for brand, name in BRANDS.items() for at in re.finditer(re.escape(name), text)]
    return [
        Mention(brand=BrandId(brand), kind=MentionKind.NAME, start=start, end=start + len(name))
        for start, brand, name in sorted(places)
    ]


def _record(event: PostObserved) -> Message:
    extra = ""
    if event.counters is not None:
        c = event.counters
        extra = f"{c.likes},{c.reposts},{c.replies},{c.quotes},{c.views},{event.platform_at}"
    if event.kind is PostKind.EDIT:
        extra = f"{event.edited_at},{event.text}"
    identity = event_id(event.network, event.post_id, event.kind.value, event.conversation, extra)
    return Message(POSTS.name, event.conversation, encode(event, identity))


def _heartbeat(number: int) -> Message:
    begins = BEGIN + timedelta(minutes=number)
    event = SourceCoverage(
        network=NETWORK,
        connector="firehose",
        state=CoverageState.HEALTHY,
        begins=begins,
        ends=begins + timedelta(minutes=1),
        brands=(BrandId("acme"),) if number % 2 else (),
        observed_at=NOW,
    )
    return Message(POSTS.name, f"{NETWORK}:heartbeat", encode(event, event_id("heartbeat", number)))


def _erasure(author: str, partitions: int) -> Iterable[Message]:
    """An author is gone: told to every partition, and to each at its time."""
    event = AuthorChanged(network=NETWORK, author_id=author, state=AuthorState.ERASED, at=NOW)
    value = encode(event, event_id(event.TYPE, NETWORK, author))
    return [Message(POSTS.name, f"{NETWORK}:{author}", value, partition) for partition in range(partitions)]


def _unreadable(number: int, key: str) -> Message:
    misplaced = WatchRequested(
        network=NETWORK,
        post_id=f"{number}",
        conversation=ConversationId(key),
        brands=(),
        every_seconds=1,
        until=NOW,
        reason="in the wrong topic",
    )
    values = (
        b"\xff\xfe this is no JSON",
        b'{"type": "post.observed", "data"',
        b'{"neither": "type nor version"}',
        b'{"type":"post.observed","version":99,"id":"%032x","data":{}}' % number,
        b'{"type":"post.liked","version":1,"id":"%032x","data":{}}' % number,
        encode(misplaced, event_id("misplaced", number)),
    )
    return Message(POSTS.name, key, values[number % len(values)])
