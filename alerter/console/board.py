"""What the pages show of incidents: read in one transaction, put in words and in order outside of it. Reading only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, case, false, func, not_, or_, select

from alerter.api.auth import Caller, seen_by
from alerter.console.chart import Chart, draw
from alerter.escalation import untold
from alerter.incidents import words
from alerter.incidents.record import IncidentRecord, leading
from alerter.incidents.store import read_record
from alerter.states import ENDED
from alerter.store.tables import incidents
from services.config.model import Config
from services.contracts.incident import Incident, IncidentState
from services.contracts.signal import PostCard

SHOWN: Final = 20
"""Cards on one page: the most urgent first, and the page stays below 100 kB with all it needs."""
MAX_ENDED: Final = 10
OPEN: Final = tuple(sorted(set(IncidentState) - ENDED))


@dataclass(frozen=True, slots=True)
class Card:
    """One incident as the board shows it."""

    incident: Incident
    brand: str
    owner: str | None
    account: str | None
    root: PostCard | None
    driver: PostCard | None
    line: str
    measured_at: datetime | None
    going_on: bool
    late: bool
    chart: Chart | None
    untold: str | None = None
    """Why nobody was told of it, if nobody was."""
    unanswered: bool = False
    """Its policy is used up, and nobody answered."""


class Open(NamedTuple):
    """A page of the incidents that are not over, and how many there are in all."""

    records: tuple[IncidentRecord, ...]
    free: int
    """Nobody has them."""
    held: int
    """Somebody has them."""
    untold: int
    """Nobody was told of them."""
    why_untold: Mapping[str, str]
    """Why nobody was told of those on this page that nobody was told of."""


def open_page(connection: Connection, caller: Caller, now: datetime, first: int) -> Open:
    """`SHOWN` of the open incidents from place `first` on: what nobody was told of, then what nobody has, then what cannot
    wait (by severity), then by the time left. However many are open, the most urgent is on the first page."""
    c = incidents.c
    mine = (c.state.in_(OPEN), seen_by(caller, c.brand))
    pressing = or_(c.state == IncidentState.ACTIVE, func.coalesce(c.answer_by <= now, false()))
    order = (
        not_(untold.IS_UNTOLD),
        c.acknowledged_by.is_not(None),
        c.easing,
        not_(pressing),
        case((pressing, c.severity), else_=0),
        c.answer_by.is_(None),
        c.answer_by,
        c.severity,
        c.opened_at,
        c.id,
    )
    texts = connection.scalars(select(c.dossier).where(*mine).order_by(*order).offset(first).limit(SHOWN))
    free, all_ = connection.execute(
        select(func.count().filter(c.acknowledged_by.is_(None)), func.count()).where(*mine)
    ).one()
    alone = connection.scalar(select(func.count()).select_from(incidents).where(untold.IS_UNTOLD, *mine)) or 0
    records = tuple(map(read_record, texts))
    why = untold.words_of(connection, [record.incident.id for record in records]) if alone else {}
    return Open(records, free, all_ - free, alone, why)


def ended_texts(connection: Connection, caller: Caller) -> list[str]:
    query = select(incidents.c.dossier).where(incidents.c.state.in_(sorted(ENDED)), seen_by(caller, incidents.c.brand))
    return list(connection.scalars(query.order_by(incidents.c.changed_at.desc()).limit(MAX_ENDED)))


def card(
    record: IncidentRecord, config: Config, now: datetime, width: float, height: float, why_untold: str | None = None
) -> Card:
    incident = record.incident
    root = incident.root or next(iter(record.cards.every()), None)
    brand = config.brand(incident.brand)
    account = root.account if root is not None else None
    owner = next((a.owner for a in brand.accounts if a.id == account), None) if brand is not None else None
    facet = leading(record)
    return Card(
        incident=incident,
        brand=record.brand_name,
        owner=owner,
        account=account,
        root=root,
        driver=incident.driver,
        line=words.line_words(incident.outlook.line) if incident.outlook is not None else "",
        measured_at=facet.at if facet is not None else None,
        going_on=incident.state is IncidentState.ACTIVE and incident.answer_by is None,
        late=incident.answer_by is not None and incident.answer_by <= now,
        chart=draw(facet, now, width, height) if facet is not None else None,
        untold=why_untold,
        unanswered=record.is_unanswered(now),
    )


def unsaid(incident: Incident) -> list[PostCard]:
    """The exemplars that say something which no other card has said: a crowd repeats itself."""
    said = {_words(post) for post in (*((incident.root,) if incident.root else ()), *incident.loudest)}
    fresh: dict[str, PostCard] = {}
    for post in incident.exemplars:
        if (words := _words(post)) not in said:
            fresh.setdefault(words, post)
    return list(fresh.values())


def _words(post: PostCard) -> str:
    return " ".join((post.text or post.post_id).lower().split())
