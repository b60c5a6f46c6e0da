"""What the pages show of incidents: read in one transaction, put in words and in order outside of it. Reading only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from alerter.api.auth import Caller, seen_by
from alerter.console.chart import Chart, draw
from alerter.incidents import words
from alerter.incidents.record import Facet, IncidentRecord
from alerter.rules.conditions import LEVEL_RANK
from alerter.states import ENDED
from alerter.store.tables import incidents
from services.config.model import Config
from services.contracts.incident import Incident, IncidentState
from services.contracts.signal import Level, PostCard

MAX_OPEN: Final = 200
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
    line: str
    measured_at: datetime | None
    going_on: bool
    late: bool
    chart: Chart | None


def open_texts(connection: Connection, caller: Caller) -> list[str]:
    """The incidents that are not over, the newest first, as they are kept."""
    query = select(incidents.c.dossier).where(incidents.c.state.in_(OPEN), seen_by(caller, incidents.c.brand))
    return list(connection.scalars(query.order_by(incidents.c.changed_at.desc()).limit(MAX_OPEN)))


def ended_texts(connection: Connection, caller: Caller) -> list[str]:
    query = select(incidents.c.dossier).where(incidents.c.state.in_(sorted(ENDED)), seen_by(caller, incidents.c.brand))
    return list(connection.scalars(query.order_by(incidents.c.changed_at.desc()).limit(MAX_ENDED)))


def card(record: IncidentRecord, config: Config, now: datetime, width: float, height: float) -> Card:
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
        line=words.line_words(incident.outlook.line) if incident.outlook is not None else "",
        measured_at=facet.at if facet is not None else None,
        going_on=incident.state is IncidentState.ACTIVE,
        late=incident.answer_by is not None and incident.answer_by <= now,
        chart=draw(facet, now, width, height) if facet is not None else None,
    )


def leading(record: IncidentRecord) -> Facet | None:
    """The forecast that stands for the story: of the conversation that is nearest to the line."""
    ranked = sorted(record.facets.values(), key=lambda f: (-LEVEL_RANK[f.outlook.level], -f.outlook.probability, f.at))
    return ranked[0] if ranked else None


def urgency(one: Card) -> tuple[Any, ...]:
    """What must be looked at first: what nobody has, then what cannot wait (by severity), then by the time left."""
    incident = one.incident
    level = incident.outlook.level if incident.outlook is not None else None
    easing = incident.state is IncidentState.EASING or level is Level.EASING
    pressing = one.going_on or one.late
    deadline = incident.answer_by.timestamp() if incident.answer_by is not None else float("inf")
    return (
        incident.acknowledged_by is not None,
        easing,
        not pressing,
        incident.severity if pressing else 0,
        deadline,
        incident.severity,
        incident.opened_at,
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
