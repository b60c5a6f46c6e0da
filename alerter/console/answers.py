"""What waits for an answer: every complaint and question, small ones too, what is overdue first."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection, func, select

from alerter.answers.answer_clocks import WAITING, overdue_at
from alerter.api.auth import Caller, seen_by
from alerter.api.context import ApiContext
from alerter.console import live, rendering
from alerter.console.live import About
from alerter.console.middleware import Signed
from alerter.states import ClockState
from alerter.store.tables import answer_clocks

MAX_SHOWN: Final = 200


class Unread(NamedTuple):
    """The newest posts that were not read, how many there are in all, and how many of each brand and language."""

    rows: list[Any]
    total: int
    languages: list[tuple[str, str | None, int]]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/answers")
    async def show_answers(request: Request, visit: Signed) -> Response:
        context = service.context()

        def read(connection: Connection) -> tuple[list[Any], int, int, Unread, str]:
            rows, waiting = _waiting(connection, visit.caller)
            late = select(func.count()).select_from(answer_clocks).where(overdue_at(context.now))
            overdue = connection.scalar(late.where(seen_by(visit.caller, answer_clocks.c.brand))) or 0
            unread = _unread(connection, visit.caller)
            return rows, waiting, overdue, unread, live.fingerprint(connection, visit.caller, About.ANSWERS)

        rows, waiting, overdue, unread, version = await service.database.read(read)
        config = context.config
        owners = {account.id: account.owner for brand in config.brands for account in brand.accounts}
        return rendering.page(
            service,
            request,
            "answers.html",
            rows=rows,
            waiting=waiting,
            overdue=overdue,
            unread=unread,
            names={brand.id: brand.name for brand in config.brands},
            owners=owners,
            version=version,
            about=About.ANSWERS.value,
        )


def _waiting(connection: Connection, caller: Caller) -> tuple[list[Any], int]:
    """Those that run, the one that is due first at the top, and how many there are in all."""
    running = (answer_clocks.c.state == ClockState.RUNNING, seen_by(caller, answer_clocks.c.brand))
    query = select(answer_clocks).where(*running).order_by(answer_clocks.c.due_at, answer_clocks.c.id)
    rows = list(connection.execute(query.limit(MAX_SHOWN)))
    return rows, connection.scalar(select(func.count()).select_from(answer_clocks).where(*running)) or 0


def _unread(connection: Connection, caller: Caller) -> Unread:
    """The posts that a person has to read, with or without a clock."""
    c = answer_clocks.c
    mine = (c.kind == "unread", c.state.in_(WAITING), seen_by(caller, c.brand))
    rows = connection.execute(select(answer_clocks).where(*mine).order_by(c.asked_at.desc(), c.id).limit(MAX_SHOWN))
    counts = connection.execute(
        select(c.brand, c.language, func.count())
        .where(*mine)
        .group_by(c.brand, c.language)
        .order_by(func.count().desc())
    )
    languages = [(row[0], row[1], row[2]) for row in counts]
    return Unread(list(rows), sum(count for _, _, count in languages), languages)
