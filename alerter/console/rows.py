"""A page of the board: the incidents that somebody asks for, in the database's order, each as one row.

What nobody has comes first, the worst of it at the top; what somebody has follows by severity. What nobody was even told of
leads: nothing else will bring anybody to it. Within a severity the sooner deadline comes first. However many are open, the most
urgent is on the first page, and a page takes the same number of queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, not_, select

from alerter.api import views
from alerter.api.auth import Caller, seen_by
from alerter.api.incident_filter import IncidentFilter, StateSet
from alerter.console import sparkline
from alerter.console.next_up import NextUp, Plans, next_up, plans
from alerter.console.sparkline import Sparkline
from alerter.desk.context import Context
from alerter.escalation import untold
from alerter.incidents import findable
from alerter.incidents.record import IncidentRecord, leading
from alerter.incidents.store import read_record
from alerter.store.tables import incidents
from services.config.model import Config
from services.contracts.incident import Incident
from services.contracts.signal import PostCard

SHOWN: Final = 30
MAX_ENDED: Final = 10
MAX_OPTIONS: Final = 300
"""Kinds of incidents of which networks and languages are listed to choose from."""
LONGEST: Final = 120
"""Characters of a post that a row shows at most; most screens show fewer."""


class Counts(NamedTuple):
    """Of all that is asked for, on whichever page."""

    free: int
    held: int
    untold: int

    @property
    def total(self) -> int:
        return self.free + self.held


class BoardPage(NamedTuple):
    """What is read for a page of the board."""

    records: tuple[IncidentRecord, ...]
    counts: Counts
    known: Plans
    ended: tuple[IncidentRecord, ...]
    networks: tuple[str, ...]
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One incident, as the board shows it."""

    incident: Incident
    brand: str
    says: str
    """The post's own words; without a post, what happened."""
    is_quote: bool
    root: PostCard | None
    owner: str | None
    size: int | None
    rate: float | None
    spark: Sparkline | None
    measured_at: datetime | None
    next: NextUp
    is_unanswered: bool


def order() -> tuple[ColumnElement[Any], ...]:
    c = incidents.c
    return (
        c.acknowledged_by.is_not(None),
        not_(untold.IS_UNTOLD),
        c.severity,
        c.easing,
        c.answer_by.is_(None),
        c.answer_by,
        c.opened_at,
        c.id,
    )


def read(
    connection: Connection, caller: Caller, asked: IncidentFilter, first: int, context: Context, with_ended: bool
) -> BoardPage:
    """Returns `SHOWN` of them from place `first` on, and how many there are."""
    c, asked_for = incidents.c, asked.conditions(caller, context.config)
    texts = connection.scalars(select(c.dossier).where(*asked_for).order_by(*order()).offset(first).limit(SHOWN))
    records = tuple(map(read_record, texts))
    counted = select(func.count().filter(c.acknowledged_by.is_(None)), func.count()).where(*asked_for)
    free, total = connection.execute(counted).one()
    alone = select(func.count()).select_from(incidents).where(untold.IS_UNTOLD, *asked_for)
    counts = Counts(free, total - free, connection.scalar(alone) or 0)
    over = (c.state.in_(sorted(StateSet.OVER.states)), seen_by(caller, c.brand))
    ended = select(c.dossier).where(*over).order_by(c.changed_at.desc()).limit(MAX_ENDED if with_ended else 0)
    kinds = select(c.networks, c.languages).distinct().limit(MAX_OPTIONS)
    is_open = (c.state.in_(sorted(StateSet.OPEN.states)), seen_by(caller, c.brand))
    found = connection.execute(kinds.where(*is_open)).all()
    return BoardPage(
        records,
        counts,
        plans(connection, [record.incident.id for record in records], context),
        tuple(map(read_record, connection.scalars(ended))),
        _options([row.networks for row in found], asked.network),
        _options([row.languages for row in found], asked.language),
    )


def titles(connection: Connection, caller: Caller, ids: Sequence[str]) -> dict[str, str]:
    """Returns what to call each of these incidents that the caller sees."""
    query = select(incidents.c.id, incidents.c.dossier).where(
        incidents.c.id.in_(ids), seen_by(caller, incidents.c.brand)
    )
    found = connection.execute(query).all()
    return {one.id: read_record(one.dossier).incident.title for one in found}


def _options(texts: Sequence[str], chosen: str | None) -> tuple[str, ...]:
    return tuple(sorted({*(value for text in texts for value in findable.values_of(text)), *filter(None, [chosen])}))


def row(record: IncidentRecord, caller: Caller, known: Plans, config: Config, now: datetime) -> Row:
    record = views.shown_to(caller, record, config.source_policy)
    incident, facet = record.incident, leading(record)
    root = incident.root or next(iter(record.cards.every()), None)
    brand = config.brand(incident.brand)
    account = root.account if root is not None else None
    said = " ".join((root.text or "").split()) if root is not None else ""
    outlook = incident.outlook
    return Row(
        incident=incident,
        brand=record.brand_name,
        says=(said if len(said) <= LONGEST else said[: LONGEST - 1].rstrip() + "…") or incident.title,
        is_quote=bool(said),
        root=root,
        owner=next((one.owner for one in brand.accounts if one.id == account), None) if brand is not None else None,
        size=outlook.observed if outlook is not None else record.surge.observed if record.surge is not None else None,
        rate=facet.rate_60m if facet is not None else None,
        spark=sparkline.draw(facet) if facet is not None else None,
        measured_at=facet.at if facet is not None else None,
        next=next_up(record, known, config, now),
        is_unanswered=record.is_unanswered(now),
    )
