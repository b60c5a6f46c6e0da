"""An incident in two panes: the post, how it grows and what to do on the left, and on the right what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from alerter.api import schemas, views
from alerter.api.context import ApiContext, found
from alerter.api.schemas import IncidentKey
from alerter.api.scopes import Scope
from alerter.api.seen import to_ask
from alerter.console import chart, flash, live, next_up, rendering, stream
from alerter.console.chart import Chart, Mark
from alerter.console.middleware import Signed
from alerter.console.stream import StreamLine
from alerter.incidents import playbook, words
from alerter.incidents.actions import undo_until
from alerter.incidents.judgements import StepDone
from alerter.incidents.record import IncidentRecord, leading
from services.config.model import Config
from services.contracts.incident import Change, Incident, IncidentState
from services.contracts.signal import PostCard

MAX_NAMES: Final = 200
MAX_DELIVERIES: Final = 100
CHART: Final = (640.0, 220.0)


@dataclass(frozen=True, slots=True)
class Card:
    """The incident at the head of its page."""

    incident: Incident
    brand: str
    owner: str | None
    account: str | None
    root: PostCard | None
    driver: PostCard | None
    line: str
    measured_at: datetime | None
    going_on: bool
    chart: Chart | None
    untold: str | None
    """Why nobody was told of it, if nobody was."""
    unanswered: bool
    """Its policy is used up, and nobody answered."""


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of the playbook: a step, with who did it if somebody has, or Markdown between steps."""

    text: str
    is_step: bool
    tick: StepDone | None = None


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/incidents/{incident}")
    async def show_incident(request: Request, visit: Signed, incident: IncidentKey, done: str = "") -> Response:
        context, caller = service.context(), visit.caller
        config = context.config

        def read(connection: Connection) -> Any:
            record = views.record_shown(connection, caller, config.source_policy, incident)
            if record is None:
                return None
            explained = views.explanation(connection, caller, config.source_policy, incident)
            paged = stream.paged(connection, incident)
            plans = next_up.plans(connection, [incident], context)
            return record, explained, paged, plans, live.fingerprint(connection, caller)

        record, explained, paged, plans, version = found(await service.database.read(read))
        return rendering.page(
            service,
            request,
            "incident.html",
            one=card(record, config, context.now, explained, paged),
            next=next_up.next_up(record, plans, config, context.now),
            incident=record.incident,
            record=record,
            explained=explained,
            lines=stream.stream(explained.timeline, paged),
            exemplars=unsaid(record.incident),
            steps=_steps(config, record),
            most_deliveries=MAX_DELIVERIES,
            responders=to_ask(caller, config, record.incident.brand)[:MAX_NAMES],
            version=version,
            ended=record.ended,
            undo_until=undo_until(record),
            may_act=caller.may(Scope.RESPOND),
            state_words=words.STATE_WORDS,
            said=flash.WORDS.get(done),
        )


def card(
    record: IncidentRecord, config: Config, now: datetime, explained: schemas.Explanation, paged: Sequence[StreamLine]
) -> Card:
    incident = record.incident
    root = incident.root or next(iter(record.cards.every()), None)
    brand = config.brand(incident.brand)
    account = root.account if root is not None else None
    facet = leading(record)
    owner = next((a.owner for a in brand.accounts if a.id == account), None) if brand is not None else None
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
        chart=chart.draw(facet, now, *CHART, _marks(record, explained, paged)) if facet is not None else None,
        untold=explained.untold,
        unanswered=record.is_unanswered(now),
    )


def _marks(record: IncidentRecord, explained: schemas.Explanation, paged: Sequence[StreamLine]) -> list[Mark]:
    """Returns what people did, and when the line was crossed, for the chart: the first of each."""
    taken = next((line.at for line in explained.timeline if line.kind == Change.ACKNOWLEDGED), None)
    told = min((line.at for line in paged), default=record.told_at)
    moments = (("paged", told), ("taken", taken), ("answered", record.answered_at), ("crossed", record.crossed_at))
    return [Mark(word, at) for word, at in moments if at is not None]


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


def _steps(config: Config, record: IncidentRecord) -> list[Step]:
    """The playbook as the configuration has it now. Without one, the first step that was sent, if there was one."""
    ticks = {one.step: one for one in record.ticks}
    text = playbook.playbook_of(config, record.incident)
    if text is None:
        first = record.incident.first_step
        return [] if first is None else [Step(first, False)]
    return [Step(piece.text, piece.is_step, ticks.get(piece.text)) for piece in playbook.pieces(text)]
