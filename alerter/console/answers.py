"""What waits for an answer: every complaint and question, small ones too, what is overdue first."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection, func, select

from alerter.answers.answer_clocks import overdue_at
from alerter.api.auth import Caller, seen_by
from alerter.api.context import ApiContext
from alerter.console import live, rendering
from alerter.console.live import About
from alerter.console.middleware import Signed
from alerter.states import ClockState
from alerter.store.tables import answer_clocks

MAX_SHOWN: Final = 200


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/answers")
    async def show_answers(request: Request, visit: Signed) -> Response:
        context = service.context()

        def read(connection: Connection) -> tuple[list[Any], int, int, str]:
            rows, waiting = _waiting(connection, visit.caller)
            late = select(func.count()).select_from(answer_clocks).where(overdue_at(context.now))
            overdue = connection.scalar(late.where(seen_by(visit.caller, answer_clocks.c.brand))) or 0
            return rows, waiting, overdue, live.fingerprint(connection, visit.caller, About.ANSWERS)

        rows, waiting, overdue, version = await service.database.read(read)
        config = context.config
        owners = {account.id: account.owner for brand in config.brands for account in brand.accounts}
        return rendering.page(
            service,
            request,
            "answers.html",
            rows=rows,
            waiting=waiting,
            overdue=overdue,
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
