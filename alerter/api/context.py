"""What the routes need of the service, and the few answers that all of them give alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol, TypeVar

from fastapi import Query
from sqlalchemy import Connection

from alerter.api import views
from alerter.api.problems import Problem
from alerter.api.reply_limits import ReplyLimits
from alerter.desk.context import Context
from alerter.desk.service import IncidentService
from alerter.notify.links import LinkSigner
from alerter.notify.outlets import Outlets
from alerter.oncall.declared_config import DeclaredConfig
from alerter.store.database import Database
from services.base.egress import Network
from services.runtime.lifecycle import ServiceContext

T = TypeVar("T")
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the previous page")]
Limit = Annotated[int, Query(ge=1, le=200)]


class ApiContext(Protocol):
    """The alerter, as the API sees it."""

    process: ServiceContext
    declared: DeclaredConfig
    database: Database
    allowed: tuple[Network, ...]
    links: LinkSigner
    outlets: Outlets
    reply_limits: ReplyLimits
    started: bool

    def context(self) -> Context: ...
    def ring(self) -> None: ...
    async def act(self, work: Callable[[IncidentService], T]) -> T: ...


async def paged(service: ApiContext, work: Callable[[Connection], T]) -> T:
    """A page of a listing. Raises `Problem` 422 for a cursor that is not ours."""
    try:
        return await service.database.read(work)
    except views.BadCursor as error:
        raise Problem(422, f"cursor: {error}", errors=[{"at": "query.cursor", "why": str(error)}]) from None


def found(thing: T | None) -> T:
    if thing is None:
        raise Problem(404, "there is none with this id")
    return thing
