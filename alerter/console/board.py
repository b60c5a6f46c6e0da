"""The board: what is open as a dense table, filtered by its address, and the form by which several are taken or ended."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from alerter.api import bulk
from alerter.api.bulk import BulkAction, BulkIn
from alerter.api.context import ApiContext
from alerter.api.incident_filter import StateSet
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.console import board_filter, first_run, flash, live, rendering, rows
from alerter.console.actions import filled, may
from alerter.console.board_filter import BoardFilter
from alerter.console.first_run import FirstStep
from alerter.console.middleware import HOME, Form, Signed
from alerter.incidents import words
from alerter.incidents.actions import undo_until

CHOSEN: Final = "i-"
"""Begins the names of the boxes by which incidents are chosen; the incident's id follows."""
MAX_BRANDS: Final = 200
_ALL_DONE: Final = {BulkAction.ACKNOWLEDGE: "all-acknowledged", BulkAction.RESOLVE: "all-resolved"}
VIEWS: Final = (
    ("Open", ""),
    ("Nobody has", "free=1"),
    ("Mine", "mine=1"),
    ("SEV1", "severity=1"),
    ("Told nobody", "told-nobody=1"),
    ("Over", "state=over"),
)
"""Views that are one click away: a name, and the query of its address."""


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("")
    async def show_board(request: Request, visit: Signed, done: str = "") -> Response:
        asked = board_filter.read(request.query_params.multi_items(), visit.person)
        return await _page(service, request, visit, asked, said=flash.WORDS.get(done))

    @routes.post("/incidents/bulk")
    async def act_on_chosen(request: Request, visit: Signed, form: Form) -> Response:
        caller = may(visit, Scope.RESPOND)
        chosen = [name.removeprefix(CHOSEN) for name in form if name.startswith(CHOSEN)]
        action = next((one for one in BulkAction if one == form.get("action")), None)
        if action is None or not chosen:
            raise Problem(422, "choose incidents, and what to do with them")
        asked = filled(BulkIn, visit, form, action=action, incidents=tuple(chosen))
        result = await bulk.perform(service, caller, action, asked.incidents, asked.by, asked.comment)
        view = board_filter.read(parse_qsl(form.get("view", "")), visit.person)
        query = view.query(view.first)
        if result.done == len(result.results):
            said = f"done={_ALL_DONE[action]}"
            return RedirectResponse(f"{HOME}?{query}&{said}" if query else f"{HOME}?{said}", 303)
        failed = [one for one in result.results if one.why_not is not None]
        titles = await service.database.read(lambda c: rows.titles(c, caller, [one.incident for one in failed]))
        return rendering.page(
            service,
            request,
            "bulk.html",
            done=result.done,
            action=action.value,
            failed=[(one, titles.get(one.incident)) for one in failed],
            back=f"{HOME}?{query}" if query else HOME,
        )


async def _page(
    service: ApiContext, request: Request, visit: Signed, asked: BoardFilter, said: str | None = None
) -> Response:
    caller, context = visit.caller, service.context()

    def read(connection: Connection) -> tuple[rows.BoardPage, tuple[FirstStep, ...], str]:
        page = rows.read(connection, caller, asked.asked, asked.first, context, with_ended=asked.is_plain)
        todo = first_run.steps(connection, caller, context) if not page.records and asked.is_plain else ()
        return page, todo, live.fingerprint(connection, caller)

    page, todo, version = await service.database.read(read)
    config = context.config
    facts: dict[str, Any] = {
        "rows": [rows.row(one, caller, page.known, config, context.now) for one in page.records],
        "counts": page.counts,
        "first_steps": todo,
        "asked": asked.asked,
        "is_mine": asked.is_mine,
        "is_plain": asked.is_plain,
        "query": asked.query(asked.first),
        "links": _links(asked, page.counts.total),
        "first": asked.first,
        "views": VIEWS,
        "states": tuple(StateSet),
        "networks": page.networks,
        "languages": page.languages,
        "brands": [(one.id, one.name) for one in config.brands if caller.sees(one.id)][:MAX_BRANDS],
        "ended": page.ended,
        "undo_until": undo_until,
        "state_words": words.STATE_WORDS,
        "refused": service.process.current.refused,
        "tell_mistakes": not caller.outside,
    }
    may_act = caller.may(Scope.RESPOND)
    return rendering.page(service, request, "board.html", version=version, may_act=may_act, said=said, **facts)


def _links(asked: BoardFilter, total: int) -> dict[str, str | None]:
    """Returns the addresses of the pages before and after this one, as far as there are such."""

    def to(first: int) -> str:
        query = asked.query(first)
        return f"{HOME}?{query}" if query else HOME

    more = to(max(0, asked.first - rows.SHOWN)) if asked.first else None
    less = to(asked.first + rows.SHOWN) if asked.first + rows.SHOWN < total else None
    return {"more": more, "less": less}
