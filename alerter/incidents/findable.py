"""What an incident can be found by: the words of its posts, their authors, its labels, networks and languages. Pure.

These are columns beside the record, written with it, so that the database filters whatever the number of incidents. A post
that is forgotten is in none of them from the next save on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, or_, true

from alerter.incidents.record import IncidentRecord
from services.contracts.language_tags import language
from services.contracts.post import SourcePolicy
from services.contracts.signal import PostCard

MOST_OF_A_POST: Final = 500
"""Characters of each post that are searched: what is longer says its matter before."""
MOST_WORDS: Final = 8
"""Of a search; those that follow are left out."""


def columns_of(record: IncidentRecord) -> dict[str, Any]:
    """Returns the columns by which the incident is found. `words` may be shown to everybody who sees the incident, as far as
    their posts say themselves; `kept_words` are of posts whose source keeps them in the house."""
    posts = {(card.network, card.post_id): card for card in record.cards.every()}.values()
    shown = [card for card in posts if card.policy is SourcePolicy.TEXT_ALLOWED]
    kept = [card for card in posts if card.policy is not SourcePolicy.TEXT_ALLOWED]
    labels = record.incident.labels
    networks = {card.network for card in posts} | set(record.surge.networks if record.surge is not None else ())
    return {
        "words": listed([*map(_words, shown), *labels, record.asked or ""]),
        "kept_words": listed(map(_words, kept)),
        "labels": listed(labels),
        "networks": listed(networks),
        "languages": listed({tag for card in posts if (tag := language(card.language)) is not None}),
    }


def listed(values: Iterable[str]) -> str:
    """Returns values as one text in which `holds` finds each of them, and no part of another."""
    clean = dict.fromkeys(_clean(value) for value in values if value)
    return "".join(f"\n{value}" for value in (sorted(clean))) + "\n" if clean else ""


def values_of(text: str) -> list[str]:
    """Returns what `listed` made the text of."""
    return [value for value in text.split("\n") if value]


def holds(column: Column[str], value: str) -> ColumnElement[bool]:
    """A condition: the column lists this value, in whatever case."""
    return column.contains(f"\n{_clean(value)}\n", autoescape=True)


def says(columns: Collection[Column[str]], words: Iterable[str]) -> ColumnElement[bool]:
    """A condition: each of the words is somewhere in the columns, in whatever case and within longer words too."""
    return and_(true(), *(or_(*(one.contains(_clean(word), autoescape=True) for one in columns)) for word in words))


def words_in(search: str) -> list[str]:
    """Returns the words of a search."""
    return search.split()[:MOST_WORDS]


def _words(card: PostCard) -> str:
    return f"{card.author or ''} {(card.text or '')[:MOST_OF_A_POST]}".strip()


def _clean(text: str) -> str:
    """Returns the text in one line and one case, without what PostgreSQL does not keep."""
    return " ".join(text.replace("\x00", " ").split()).encode("utf-8", "replace").decode().casefold()
