"""The inbox of answers: what waits, one entry for each story, what is due first at the top.

The replies of a pile-on stand under their story, so that one storm does not hide thirty other people. Copies of a text
wait on one clock (`answer_clocks`). Runs inside a transaction, and reads alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, tuple_

from alerter.answers.answer_clocks import overdue_at
from alerter.states import ClockState
from alerter.store.tables import answer_clocks as clocks
from alerter.store.tables import stories
from services.contracts.post import SourcePolicy

ENTRIES: Final = 30
"""Stories on a page."""
UNDER_ONE: Final = 6
"""Posts of one story on a page; the others are counted."""
UNREAD: Final = "unread"


@dataclass(frozen=True, slots=True)
class InboxFilter:
    """What of the inbox is asked for; all of it by default."""

    brand: str = ""
    network: str = ""
    language: str = ""
    kind: str = ""
    assigned_to: str = ""
    late: bool = False
    snoozed: bool = False
    """Those that were put off, instead of the others."""
    text: str = ""
    """Found in the text or the author's name, whatever its case."""


@dataclass(frozen=True, slots=True)
class InboxStory:
    """One story: its posts that wait, the one that began it first, then what is due first, and how many they are. `incident` is
    the latest about it."""

    conversation: str
    brand: str
    posts: tuple[Any, ...]
    count: int
    incident: str | None


@dataclass(frozen=True, slots=True)
class Inbox:
    """A page of it. `waiting`, `late` and `snoozed` count posts of the whole inbox, whatever is asked for."""

    stories: tuple[InboxStory, ...]
    more: bool
    waiting: int
    late: int
    snoozed: int


def read(
    connection: Connection, only: ColumnElement[bool], outside: bool, wanted: InboxFilter, now: datetime, first: int = 0
) -> Inbox:
    """Returns the page that begins with the story number `first`, of the clocks for which `only` holds. Somebody `outside` the
    house finds no post by words that they may not see."""
    running = and_(only, clocks.c.state == ClockState.RUNNING)
    asleep = and_(clocks.c.snoozed_until.is_not(None), clocks.c.snoozed_until > now)
    counted = select(
        func.count(), func.count().filter(and_(overdue_at(now), ~asleep)), func.count().filter(asleep)
    ).where(running)
    all_, late, snoozed = connection.execute(counted).one()
    found = and_(running, asleep if wanted.snoozed else ~asleep, *_conditions(wanted, outside, now))
    due = func.min(clocks.c.due_at)
    groups = connection.execute(
        select(clocks.c.brand, clocks.c.conversation, func.count().label("posts"))
        .where(found)
        .group_by(clocks.c.brand, clocks.c.conversation)
        .order_by(due, clocks.c.conversation)
        .offset(first)
        .limit(ENTRIES + 1)
    ).all()
    shown = groups[:ENTRIES]
    places = [(row.brand, row.conversation) for row in shown]
    posts = _posts(connection, found, places)
    known = _incidents(connection, places)
    entries = tuple(
        InboxStory(row.conversation, row.brand, tuple(posts[place]), row.posts, known.get(place))
        for row, place in zip(shown, places, strict=True)
    )
    return Inbox(entries, len(groups) > ENTRIES, all_ - snoozed, late, snoozed)


def _conditions(wanted: InboxFilter, outside: bool, now: datetime) -> list[ColumnElement[bool]]:
    equal = {
        clocks.c.brand: wanted.brand,
        clocks.c.network: wanted.network,
        clocks.c.language: wanted.language,
        clocks.c.kind: wanted.kind,
        clocks.c.assigned_to: wanted.assigned_to,
    }
    asked = [column == value for column, value in equal.items() if value]
    if wanted.late:
        asked.append(overdue_at(now))
    if wanted.text:
        places = (clocks.c.text, clocks.c.handle)
        asked.append(or_(*(column.icontains(wanted.text, autoescape=True) for column in places)))
        if outside:
            asked.append(clocks.c.policy == SourcePolicy.TEXT_ALLOWED)
    return asked


def _posts(
    connection: Connection, found: ColumnElement[bool], places: list[tuple[str, str]]
) -> Mapping[tuple[str, str], list[Any]]:
    place = (clocks.c.brand, clocks.c.conversation)
    begins_it = case((clocks.c.network + ":" + clocks.c.post_id == clocks.c.conversation, 0), else_=1)
    order = (begins_it, clocks.c.due_at, clocks.c.id)
    turn = func.row_number().over(partition_by=place, order_by=order).label("turn")
    numbered = select(clocks, turn).where(found, tuple_(*place).in_(places)).subquery()
    first = select(numbered).where(numbered.c.turn <= UNDER_ONE).order_by(numbered.c.turn)
    posts: dict[tuple[str, str], list[Any]] = {one: [] for one in places}
    for row in connection.execute(first):
        posts[row.brand, row.conversation].append(row)
    return posts


def _incidents(connection: Connection, places: list[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
    """Returns the incidents that are about these stories."""
    query = select(stories.c.brand, stories.c.story, stories.c.incident).where(
        tuple_(stories.c.brand, stories.c.story).in_(places), stories.c.incident.is_not(None)
    )
    return {(row.brand, row.story): row.incident for row in connection.execute(query)}


def kept_from(outside: bool, row: Any) -> dict[str, None]:
    """Returns what of a clock somebody outside the house does not see, by the terms of its network."""
    if not outside or row.policy == SourcePolicy.TEXT_ALLOWED:
        return {}
    words: dict[str, None] = {"text": None, "handle": None}
    # As in the digest: not even its id leaves the house, nor that of the answer under it.
    return words | ({"post_id": None, "answer_id": None} if row.policy == SourcePolicy.INTERNAL else {})


def choices(connection: Connection, only: ColumnElement[bool]) -> dict[str, list[str]]:
    """Returns what a filter may ask for: the networks, languages and people of what waits now."""
    running = and_(only, clocks.c.state == ClockState.RUNNING)
    found = {}
    for column in (clocks.c.network, clocks.c.language, clocks.c.assigned_to):
        values = connection.scalars(select(column).where(running, column.is_not(None)).distinct().limit(100))
        found[column.name] = sorted(values)
    return found
