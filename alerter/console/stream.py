"""What happened to an incident, as one stream: who was told and how that went, what people did and said, and what was forecast.

Who was paged is told by the people's names, in the place of the line that says so in the timeline's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select

from alerter.api import schemas
from alerter.states import PageState
from alerter.store.tables import pages

MAX_SHOWN: Final = 150


class Part(StrEnum):
    """What the lines of a stream are about; the words are those on the page."""

    PAGES = "page"
    DEEDS = "deed"
    NOTES = "note"
    STORY = "story"


_PARTS: Final = {
    **dict.fromkeys(("told", "escalated", "insisted", "unowned", "unreached"), Part.PAGES),
    **dict.fromkeys(("note", "labelled"), Part.NOTES),
    **dict.fromkeys(
        (
            "acknowledged", "snoozed", "reassigned", "hastened", "resolved", "reopened", "marked", "regraded", "ticked",
            "unticked", "not_taken", "lapsed", "woken",
        ),
        Part.DEEDS,
    ),
}  # fmt: skip
_WORDS: Final = {
    PageState.SENT: "on its way",
    PageState.ARRIVED: "arrived",
    PageState.FAILED: "did not arrive",
    PageState.VOID: "no longer needed",
}


@dataclass(frozen=True, slots=True)
class StreamLine:
    """One line of the stream. `state` is that of a page, in words, and `is_bad` says that it did not arrive."""

    at: datetime
    part: Part
    kind: str
    words: str
    who: str | None = None
    tell: str | None = None
    state: str | None = None
    is_bad: bool = False


def paged(connection: Connection, incident: str) -> list[StreamLine]:
    """Returns who was paged, each page as a line."""
    query = select(pages).where(pages.c.incident == incident).order_by(pages.c.paged_at, pages.c.id)
    lines = []
    for row in connection.execute(query):
        name = row.who.partition(" (on call for ")[0]
        way = f" by {row.endpoint}" if row.endpoint != name else ""
        words, state = f"{name} was paged{way}", PageState(row.state)
        said = f"{_WORDS[state]}: {row.failed}" if row.failed and state is PageState.FAILED else _WORDS[state]
        lines.append(
            StreamLine(row.paged_at, Part.PAGES, "paged", words, name, state=said, is_bad=state is PageState.FAILED)
        )
    return lines


def stream(timeline: Sequence[schemas.TimelineEntry], paged: Iterable[StreamLine]) -> list[StreamLine]:
    """Returns all lines, the newest first; of those of one moment, what was done last."""
    said = [
        StreamLine(
            one.at,
            _PARTS.get(one.kind, Part.STORY),
            one.kind,
            one.because,
            one.actor,
            one.tell.words if one.tell is not None else None,
        )
        for one in timeline
    ]
    every = sorted([*said, *paged], key=lambda line: line.at)
    return every[::-1][:MAX_SHOWN]
