"""Complaints and questions that wait for an answer, those overdue, and whether the small are treated like the large."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, and_, select

from alerter.answers import fairness, inbox
from alerter.answers.answer_clocks import overdue_at, waited
from alerter.api import views
from alerter.api.auth import Caller, Reader, seen_by
from alerter.api.context import ApiContext, Cursor, Limit, paged
from alerter.api.schemas import Shape
from alerter.states import ClockState
from alerter.store.tables import answer_clocks
from services.config.section import Slug

Days = Annotated[int, Query(ge=1, le=90)]


class Wanted(StrEnum):
    """Which clocks to list."""

    OVERDUE = "overdue"
    RUNNING = "running"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    LISTED = "listed"
    DISMISSED = "dismissed"


class AnswerClock(Shape):
    """One complaint or question: where it is, what it says, and by when it has to be answered. One that is only `listed` has
    no clock. To a key that is limited to brands `text` and `handle` are null where the source's terms keep them in."""

    id: str
    brand: str
    network: str
    post_id: str | None = Field(description="null if the source's terms keep it from a key that is limited to brands")
    account: str | None
    kind: str = Field(description="complaint, question, danger or unread")
    followers: int | None
    band: str
    asked_at: datetime
    due_at: datetime
    state: str
    overdue: bool
    answered_at: datetime | None = Field(description="or dismissed")
    answer_id: str | None
    copies: int = Field(description="posts of the same text that wait for the same answer, without this one")
    told_at: datetime | None = Field(description="when the account's owner was told that it was overdue")
    permalink: str | None
    reply_link: str | None
    language: str | None = Field(None, description="as far as it is known")
    text: str | None = Field(
        None, description="kept until it is answered or deleted, and a day after a person settled it"
    )
    handle: str | None = Field(None, description="of its author, as long as the text")
    complaint: float | None = Field(None, description="how sure the model was that it is a complaint, 0 to 1")
    assigned_to: str | None = Field(None, description="who answers it")
    snoozed_until: datetime | None = None
    settled_by: str | None = Field(None, description="who said that it is answered, or needs no answer")
    settled_as: str | None = Field(
        None,
        description="how it was answered (phone, mail, message, in_person), or why it needs no answer "
        "(no_complaint, not_ours, spam); null where it was answered on its network",
    )


class AnswerClocks(Shape):
    items: tuple[AnswerClock, ...]
    next: str | None = Field(description="cursor of the next page; null on the last one")


class TreatmentOut(Shape):
    """How authors of one size on one network were treated."""

    network: str
    band: str = Field(description="the author's number of followers")
    asked: int
    answered: int
    share: float
    late: int = Field(description="answered too late, or due and not answered yet")
    median_seconds: float | None = Field(description="to the first answer, among those that were answered")
    p90_seconds: float | None


class Treatments(Shape):
    since: datetime
    items: tuple[TreatmentOut, ...]


class OverdueItem(BaseModel):
    """One post that is waiting for an answer, without what its source's terms do not let out."""

    network: str
    post_id: str | None = None
    kind: str
    followers: int | None = None
    asked_at: datetime
    due_at: datetime
    overdue_minutes: int
    permalink: str | None = None
    reply_link: str | None = None


class Overdue(BaseModel):
    brand: str
    account: str | None
    owner: str = Field(description="brand and account; the same in all digests for one account")
    links: dict[str, str] = Field(description="links to see and to answer the post that has waited longest")
    title: str
    because: str
    overdue: int = Field(description="how many are overdue on this account")
    new: int = Field(description="how many of them are reported here for the first time")
    items: tuple[OverdueItem, ...] = Field(description="the new ones that have waited longest, 25 at most")


class OverdueMessage(BaseModel):
    """Body of an `answer.due` webhook: a digest for the owner of an account, at most once an hour. Never a page."""

    type: str = Field(pattern=r"^answer\.due$")
    timestamp: datetime
    data: Overdue


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/answer-clocks")
    async def list_answer_clocks(
        caller: Reader,
        brand: Slug | None = None,
        state: Wanted | None = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> AnswerClocks:
        """Newest first."""
        now = service.context().now
        return await paged(service, lambda c: _page(c, caller, brand, state, now, cursor, limit))

    @routes.get("/answer-times")
    async def show_answer_times(caller: Reader, brand: Slug | None = None, days: Days = 30) -> Treatments:
        """Share answered, and the median and 90th percentile of the time to the first answer, by network and follower band."""
        now = service.context().now
        since = now - timedelta(days=days)
        only = seen_by(caller, answer_clocks.c.brand)
        if brand is not None:
            only = and_(only, answer_clocks.c.brand == brand)
        found = await service.database.read(lambda c: waited(c, only, since, now))
        return Treatments(since=since, items=tuple(_treatment(one) for one in fairness.treatments(found)))


def _page(
    connection: Connection,
    caller: Caller,
    brand: str | None,
    state: Wanted | None,
    now: datetime,
    cursor: str | None,
    limit: int,
) -> AnswerClocks:
    c = answer_clocks.c
    query = select(answer_clocks).where(seen_by(caller, c.brand), c.state != ClockState.EARLY)
    if brand is not None:
        query = query.where(c.brand == brand)
    if state is Wanted.OVERDUE:
        query = query.where(overdue_at(now))
    elif state is not None:
        query = query.where(c.state == state.value)
    rows, after = views.page(connection, query, c.asked_at, c.id, cursor, limit)
    return AnswerClocks(items=tuple(_clock(row, caller, now) for row in rows), next=after)


def _clock(row: Any, caller: Caller, now: datetime) -> AnswerClock:
    fields = {name: getattr(row, name) for name in AnswerClock.model_fields if name != "overdue"}
    fields |= inbox.kept_from(caller.outside, row)
    return AnswerClock(**fields, overdue=row.state == ClockState.RUNNING and row.due_at <= now)


def _treatment(one: fairness.Treatment) -> TreatmentOut:
    return TreatmentOut(
        network=one.network,
        band=one.band,
        asked=one.asked,
        answered=one.answered,
        share=round(one.share, 4),
        late=one.late,
        median_seconds=one.median_seconds,
        p90_seconds=one.p90_seconds,
    )
