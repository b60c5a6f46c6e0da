"""What must have come of a log's posts, worked out a second time from the contract alone, in plain Python.

Imports nothing of the scorer but how a text reads and whom it means (the oracle judges the plumbing, not the taste). It folds
the records of `firebreak.posts` in their order, the story links among them, and says exactly which signals, links and dead
letters must exist once, and what each conversation must have counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from scorer.mentions import relevances
from scorer.sentiment.lexicon import Lexicon
from scorer.sentiment.model import Reading
from services.contracts.post import PostObserved
from services.eventlog.base import Record
from tests.oracle.simulator import CONFIG

WAITING_LINKS: Final = 16
KNOWN_TEXTS: Final = 64
"""Posts of a conversation whose words are known."""
ENGAGES: Final = {"repost": "reposts", "quote": "quotes", "reply": "replies"}
SPEAKS: Final = frozenset({"original", "reply", "quote"})
KNOWN: Final = frozenset({
    "post.observed", "post.placed", "post.deleted", "source.coverage", "story.linked", "post.negative", "post.asked",
    "post.answered", "post.redacted", "post.flagged", "post.unread", "brand.history", "post.visibility", "author.changed",
    "post.edited", "post.shown",
    "cascade.forecast", "brand.surge", "brand.volume", "watch.requested", "stage.moved", "incident.changed",
})  # fmt: skip
READ_HERE: Final = frozenset({
    "post.observed", "post.placed", "post.deleted", "post.visibility", "author.changed", "source.coverage", "story.linked",
})  # fmt: skip
VERSIONS: Final = {
    "post.observed": 4, "brand.surge": 3, "post.negative": 3, "post.asked": 3, "post.flagged": 2, "post.unread": 2,
    "cascade.forecast": 3, "incident.changed": 4, "source.coverage": 2, "post.redacted": 2,
}  # fmt: skip
"""Of the types that are not at version 1 any more."""
CONFIGURED: Final = {brand.id: brand for brand in CONFIG.brands}


class Signal(NamedTuple):
    """What makes a signal the one and only: its type, what it is about, and for whom."""

    type: str
    post: str
    brand: str
    conversation: str


class Link(NamedTuple):
    home: str
    story: str
    brands: tuple[str, ...]


class Forward(NamedTuple):
    """A post that came by an id alone, passed on to the conversation that holds what it is about. Exactly once is not asked: a
    repetition is passed on again, and dropped there."""

    kind: str
    post: str
    conversation: str


class Letter(NamedTuple):
    partition: int
    offset: int
    reason: str


class Minute(NamedTuple):
    lane: int
    brand: str


@dataclass
class Text:
    """Which words of a post are known. `kind` is empty as long as only an edit of it was seen."""

    words: str | None
    at: str = ""
    kind: str = ""
    negative: bool | None = None
    own: str | None = None


@dataclass
class Talk:
    """One conversation."""

    story: str
    brands: list[str] = field(default_factory=list)
    reposts: int = 0
    quotes: int = 0
    replies: int = 0
    snapshot: int = 0
    events: int = 0
    scored: int = 0
    negative: int = 0
    root: str | None = None
    """The root while its words are known: it is not deleted."""
    rooted: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    window: set[str] = field(default_factory=set)
    """The ids of all events that it counted. (The contract's bound is far beyond what is simulated.)"""

    texts: dict[str, Text] = field(default_factory=dict)
    early: dict[str, Any] | None = None
    """The newest edit of the root that came before it."""

    def keep(self, post: str, text: Text) -> None:
        self.texts[post] = text
        while len(self.texts) > KNOWN_TEXTS:
            del self.texts[next(iter(self.texts))]

    def counts(self) -> dict[str, Any]:
        return {
            "story": self.story,
            "brands": self.brands,
            "reposts": self.reposts,
            "quotes": self.quotes,
            "replies": self.replies,
            "snapshot": self.snapshot,
            "scored": self.scored,
            "negative": self.negative,
        }


@dataclass
class Reference:
    """`brands`: the configured ones. Feed it every partition of `firebreak.posts`, each in its order."""

    brands: Sequence[str]
    talks: dict[str, Talk] = field(default_factory=dict)
    signals: Counter[Signal] = field(default_factory=Counter)
    links: Counter[Link] = field(default_factory=Counter)
    forwards: set[Forward] = field(default_factory=set)
    places: dict[tuple[int, str], tuple[str, ...]] = field(default_factory=dict)
    deleted: set[tuple[int, str]] = field(default_factory=set)
    """By partition, because each knows only what it read: where posts stand, and which are gone."""
    erased: set[tuple[int, str | None]] = field(default_factory=set)
    letters: Counter[Letter] = field(default_factory=Counter)
    volumes: Counter[Minute] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)
    repeated: int = 0

    def feed(self, records: Iterable[Record]) -> None:
        for record in records:
            reason = _why_unreadable(record.value)
            if reason is not None:
                self.letters[Letter(record.partition, record.offset, reason)] += 1
                continue
            wire = json.loads(record.value or b"")
            if wire["type"] == "source.coverage":
                self._cover(wire["data"])
                continue
            if wire["type"] == "author.changed":
                self._erase(wire["data"], record.partition)
                continue
            if wire["type"] in {"post.placed", "post.deleted"}:
                self._locate(wire["type"], wire["data"], record.partition)
                continue
            self._fold(wire["type"], wire["id"], wire["data"], record.partition)

    def _cover(self, data: dict[str, Any]) -> None:
        for brand in data.get("brands") or self.brands:
            moment = datetime.fromisoformat(data["begins"]).timestamp()
            self.signals[Signal("source.coverage", f"{data['connector']}@{moment:.0f}", brand, "")] += 1

    def _erase(self, data: dict[str, Any], lane: int) -> None:
        """What comes of an erased author says nothing. The first lane tells the brands."""
        self.erased.add((lane, data["author_id"]))
        if lane == 0:
            self.signals.update(Signal("author.changed", data["author_id"], brand, "") for brand in self.brands)

    def _is_gone(self, post: dict[str, Any], lane: int) -> bool:
        author = (post.get("author") or {}).get("id")
        return (lane, f"{post['network']}:{post['post_id']}") in self.deleted or (lane, author) in self.erased

    def _locate(self, kind: str, data: dict[str, Any], lane: int) -> None:
        here = (lane, f"{data['network']}:{data['post_id']}")
        if kind == "post.deleted":
            self.deleted.add(here)
        else:
            self.places[here] = tuple(filter(None, (data["home"], data.get("quoted"))))
        if here in self.deleted:
            for place in self.places.get(here, ()):
                self.forwards.add(Forward("deletion", data["post_id"], place))
        elif kind == "post.placed" and here[1] in self.talks:
            talk = self.talks[here[1]]
            if talk.early is not None:
                self._pass_edit_on(talk.early, lane)
                talk.early = None

    def _pass_edit_on(self, data: dict[str, Any], lane: int) -> bool:
        """An edit that came by its id alone goes on to where its post stands. True if it does not stand here."""
        own = f"{data['network']}:{data['post_id']}"
        places = self.places.get((lane, own), ())
        self.forwards.update(Forward("edit", data["post_id"], place) for place in places if place != own)
        return bool(places) and places[0] != own

    def _belongs_elsewhere(self, data: dict[str, Any], lane: int) -> bool:
        """True if the parent's conversation is known to be another one: the post counts there."""
        place = data["conversation"]
        root = self.talks[place].root if place in self.talks else None
        own = place == f"{data['network']}:{data['post_id']}"
        homes = self.places.get((lane, place), (place,))
        if (
            data["kind"] not in {*ENGAGES, "deletion", "edit"}
            or root
            or own
            or data.get("forwarded", 0) >= 8
            or homes[0] == place
        ):
            return False
        self.forwards.add(Forward(data["kind"], data["post_id"], homes[0]))
        return True

    def _fold(self, kind: str, identity: str, data: dict[str, Any], lane: int) -> None:
        place = data["conversation"]
        self.ids.add(identity)
        own = f"{data.get('network')}:{data['post_id']}"
        if data.get("kind") == "deletion":
            self.deleted.add((lane, own))
        if data.get("kind") == "edit" and (
            self._is_gone(data, lane) or (place == own and self._pass_edit_on(data, lane))
        ):
            return
        if kind == "post.observed" and self._belongs_elsewhere(data, lane):
            return
        if data.get("kind") == "deletion" and place not in self.talks:
            return
        talk = self.talks.setdefault(place, Talk(story=place))
        if identity in talk.window:
            self.repeated += 1
            return
        talk.window.add(identity)
        talk.events += 1
        if kind == "story.linked":
            talk.story = data["story"]
            talk.brands += [brand for brand in data["brands"] if brand not in talk.brands]
            self._flush_links(talk)
        else:
            self._fold_post(talk, place, data, lane)

    def _fold_post(self, talk: Talk, place: str, post: dict[str, Any], lane: int) -> None:
        kind, name, brand_of_author = post["kind"], post["post_id"], post.get("author_brand")
        at_home = post["home"] == place
        for brand in [*post.get("brands", ()), *([brand_of_author] if brand_of_author else [])]:
            if brand in self.brands and brand not in talk.brands:
                talk.brands.append(brand)
        if kind == "deletion":
            self.signals.update(Signal("post.redacted", name, brand, place) for brand in talk.brands)
            talk.root = None if talk.root == name else talk.root
            if name in talk.texts:
                talk.texts[name].words = ""
            return
        if kind == "edit":
            self._flush_links(talk)
            self._edit(talk, place, post, lane)
            return
        if kind == "counters":
            totals = post.get("counters") or {}
            talk.snapshot = max(talk.snapshot, sum(totals.get(n) or 0 for n in ("reposts", "quotes", "replies")))
            return
        is_root = at_home and place == f"{post['network']}:{name}"
        gone = kind in SPEAKS and self._is_gone(post, lane)
        known = talk.texts.get(name)
        edited_before = kind in SPEAKS and known is not None and not known.kind
        reading = None if gone or edited_before else self._reading(talk, kind, post)
        read = reading is not None and reading.abstain is None
        negative = reading is not None and _is_negative(reading)
        if is_root:
            talk.root = None if gone else name
            talk.rooted.add(name)
        elif kind in ENGAGES and brand_of_author is None:
            setattr(talk, ENGAGES[kind], getattr(talk, ENGAGES[kind]) + 1)
            talk.scored += read
            talk.negative += negative
        if kind in SPEAKS and not gone:
            counted = read and not is_root and brand_of_author is None
            text = Text(post.get("text"), "", kind, negative if counted else None, brand_of_author)
            if edited_before and known is not None:
                known.kind, known.negative, known.own, talk.early = kind, text.negative, brand_of_author, None
            else:
                talk.keep(name, text)
        if kind == "quote" and not at_home and post["home"] not in talk.links:
            talk.links = [*talk.links, post["home"]][-WAITING_LINKS:]
        self._flush_links(talk)
        if kind in SPEAKS and not gone:
            self._say(talk, place, post, lane, negative, speaks=not edited_before)
            if reading is not None and reading.abstain is not None:
                self._say_unread(talk, place, post, reading.abstain)

    def _edit(self, talk: Talk, place: str, post: dict[str, Any], lane: int) -> None:
        """Other words of a post: read again, and counted nowhere."""
        name, at = post["post_id"], post["edited_at"]
        is_root = post["home"] == place == f"{post['network']}:{name}"
        known = talk.texts.get(name)
        if known is None:
            known = Text("")
            if is_root and talk.root is None and name not in talk.rooted:
                talk.early = post
        elif known.at and at < known.at:
            return
        elif post.get("text") == known.words:
            known.at = max(known.at, at)
            return
        elif talk.early is not None:
            talk.early = post
        whole = {**post, "kind": known.kind or ("original" if is_root else "reply"), "author_brand": known.own}
        reading = self._reading(talk, whole["kind"], whole)
        negative = reading is not None and _is_negative(reading)
        if known.negative is not None:
            talk.negative += negative - known.negative
        counted = None if known.negative is None else negative
        talk.keep(name, Text(post.get("text"), max(at, known.at), known.kind, counted, known.own))
        self._say(talk, place, whole, lane, negative, counts=False)
        if reading is not None and reading.abstain is not None:
            self._say_unread(talk, place, whole, reading.abstain)
        if post["home"] == place:
            self.signals.update(Signal("post.edited", name, brand, place) for brand in talk.brands)

    def _say_unread(self, talk: Talk, place: str, post: dict[str, Any], reason: str) -> None:
        """To whom it matters that nobody could read the post: a quote speaks to the brands that it names where it lives, and to
        the others where it quotes."""
        at_home = post["home"] == place
        lives_here = place == f"{post['network']}:{post['post_id']}"
        for brand in talk.brands:
            named = brand in post.get("brands", ())
            here = (named or not (post["kind"] == "quote" and lives_here)) if at_home else not named
            if here and (named or reason not in {"no words", "no text"}):
                self.signals[Signal("post.unread", post["post_id"], brand, place)] += 1

    def _say(
        self,
        talk: Talk,
        place: str,
        post: dict[str, Any],
        lane: int,
        negative: bool,
        *,
        speaks: bool = True,
        counts: bool = True,
    ) -> None:
        """What a post that speaks means to the brands of its conversation. An edit of it may have said so before; and an edit
        answers nobody, and counts in no minute."""
        name, brand_of_author, at_home = post["post_id"], post.get("author_brand"), post["home"] == place
        is_root = at_home and place == f"{post['network']}:{name}"
        answered = post.get("parent_id") or talk.root
        if counts and brand_of_author is not None and not is_root and answered is not None:
            self.signals[Signal("post.answered", f"{name}>{answered}", brand_of_author, place)] += 1
        if not speaks:
            return
        meant = relevances(PostObserved.model_validate_json(json.dumps(post)), talk.brands, CONFIGURED)
        asks = at_home and not brand_of_author and any(c.isalnum() for c in (post.get("text") or "").partition("?")[0])
        asked = post.get("brands", ()) if asks and "?" in post["text"] else ()
        for brand in talk.brands:
            self.volumes[Minute(lane, brand)] += counts
            if negative and at_home and meant[brand].counts:
                self.signals[Signal("post.negative", name, brand, place)] += 1
            elif brand in asked:
                self.signals[Signal("post.asked", name, brand, place)] += 1

    def _reading(self, talk: Talk, kind: str, post: dict[str, Any]) -> Reading | None:
        """`None` where nobody looks at it: it says nothing about a brand, or is the brand's own."""
        text = post.get("text")
        if text is None or kind not in SPEAKS or post.get("author_brand") or not talk.brands:
            return None
        return Lexicon().read([text], [post.get("language")])[0]

    def _flush_links(self, talk: Talk) -> None:
        """A quote that waited is linked as soon as the brand is known."""
        if talk.brands:
            for home in talk.links:
                self.links[Link(home, talk.story, tuple(talk.brands))] += 1
            talk.links = []


def _is_negative(reading: Reading) -> bool:
    return reading.abstain is None and reading.negative > max(reading.neutral, reading.positive)


def _why_unreadable(value: bytes | None) -> str | None:
    if value is None:
        return "empty"
    try:
        wire = json.loads(value)
    except ValueError:
        return "garbage"
    if not isinstance(wire, dict) or not {"type", "version", "id", "data"} <= wire.keys():
        return "garbage"
    if wire["type"] not in KNOWN:
        return "unknown_type"
    if wire["version"] != VERSIONS.get(wire["type"], 1):
        return "unknown_version"
    return None if wire["type"] in READ_HERE else "misplaced"
