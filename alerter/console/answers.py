"""The inbox of answers: every complaint and question that waits, small ones too, one row for each story; and what was not read.

The first thing in it is what is due first. A form acts on all that are ticked, by the same functions as the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection, func, select

from alerter.answers import inbox
from alerter.answers.answer_clocks import WAITING
from alerter.answers.inbox import Inbox, InboxFilter
from alerter.api import answer_actions as api
from alerter.api.auth import Caller, seen_by
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.console import flash, live, rendering
from alerter.console.actions import filled, may
from alerter.console.live import About
from alerter.console.middleware import HOME, Form, Signed
from alerter.states import AnsweredBy, Dismissal
from alerter.store.tables import answer_clocks

PAGE: Final = f"{HOME}/answers"
First = Annotated[int, Query(alias="from", ge=0, le=100_000)]
MAX_UNREAD: Final = 100
TICK: Final = "clock."
"""How the field of a ticked post begins; its id follows."""
CHECKED: Final = ("late", "snoozed")
ASKED: Final = ("brand", "network", "language", "kind", "assigned_to", "text", *CHECKED)
"""What an address may ask for, as in `InboxFilter`."""
MOST_ASKED: Final = 200
KINDS: Final = ("complaint", "question", "danger", "unread")
HOW: Final[Mapping[AnsweredBy, str]] = {
    AnsweredBy.PHONE: "by phone",
    AnsweredBy.MAIL: "by mail",
    AnsweredBy.MESSAGE: "in a private message",
    AnsweredBy.IN_PERSON: "in person",
}
WHY: Final[Mapping[Dismissal, str]] = {
    Dismissal.NO_COMPLAINT: "it is no complaint",
    Dismissal.NOT_OURS: "it is not about us",
    Dismissal.SPAM: "it is spam",
}
SNOOZES: Final = ((60, "an hour"), (4 * 60, "4 hours"), (24 * 60, "a day"))


class Unread(NamedTuple):
    """The newest posts that were not read, how many there are in all, and how many of each brand and language."""

    rows: list[Any]
    total: int
    languages: list[tuple[str, str | None, int]]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/answers")
    async def show_answers(request: Request, visit: Signed, first: First = 0, done: str = "") -> Response:
        return await _page(service, request, visit.caller, first, flash.WORDS.get(f"answers-{done}"))

    for name in api.ACTIONS:
        _mount_action(routes, service, name)


def _mount_action(routes: APIRouter, service: ApiContext, name: str) -> None:
    @routes.post(f"/answers/{name}")
    async def act(visit: Signed, form: Form) -> Response:
        caller = may(visit, Scope.RESPOND)
        body = api.ACTIONS[name].body
        ids = [field.removeprefix(TICK) for field in form if field.startswith(TICK)]
        if not ids:
            raise Problem(422, "tick the posts that you mean, then do it again")
        own = {field: form[field] for field in body.model_fields.keys() - {"ids", "by", "comment"} if field in form}
        if name == "assign" and own.get("assignee") is None:
            own["assignee"] = visit.person
        result = await api.perform(service, caller, name, filled(body, visit, form, ids=ids, **own))
        if not result.done:
            raise Problem(409, f"nothing was done: {result.not_done[0].why}")
        word = api.ACTIONS[name].done if not result.not_done else "partly"
        back = form.get("asked", "")
        return RedirectResponse(f"{PAGE}?{back + '&' if _ours(back) else ''}done={word}", 303)


def _ours(asked: str) -> bool:
    """Returns True if this is what `_asked` wrote: words of an address, and nothing that leads elsewhere."""
    return bool(asked) and len(asked) < 2000 and asked.isascii() and asked.isprintable() and " " not in asked


def filter_of(query: Mapping[str, str]) -> InboxFilter:
    """Returns what the address asks for. What it asks wrongly is left out: a page is shown whatever stands there."""
    said: dict[str, Any] = {name: query.get(name, "").strip()[:MOST_ASKED] for name in ASKED}
    return InboxFilter(**said | {name: query.get(name) == "1" for name in CHECKED})


def _asked(wanted: InboxFilter, first: int = 0) -> str:
    """Returns the address's query that asks for the same again."""
    said = {name: getattr(wanted, name) for name in ASKED}
    given = {name: "1" if value is True else value for name, value in said.items() if value}
    return urlencode({**given, "from": first} if first else given)


async def _page(service: ApiContext, request: Request, caller: Caller, first: int, said: str | None) -> Response:
    context = service.context()
    wanted = filter_of(request.query_params)
    mine = seen_by(caller, answer_clocks.c.brand)

    def read(connection: Connection) -> tuple[Inbox, dict[str, list[str]], Unread, str]:
        found = inbox.read(connection, mine, caller.outside, wanted, context.now, first)
        version = live.fingerprint(connection, caller, About.ANSWERS)
        return found, inbox.choices(connection, mine), _unread(connection, caller), version

    found, choices, unread, version = await service.database.read(read)
    config = context.config
    return rendering.page(
        service,
        request,
        "answers.html",
        inbox=found,
        wanted=wanted,
        choices=choices,
        unread=unread,
        names={brand.id: brand.name for brand in config.brands if caller.sees(brand.id)},
        owners={account.id: account.owner for brand in config.brands for account in brand.accounts},
        kept_from=lambda row: inbox.kept_from(caller.outside, row),
        asked=_asked(wanted, first),
        earlier=_asked(wanted, max(0, first - inbox.ENTRIES)) if first else None,
        later=_asked(wanted, first + inbox.ENTRIES) if found.more else None,
        kinds=KINDS,
        how=HOW,
        why=WHY,
        snoozes=SNOOZES,
        may_act=caller.may(Scope.RESPOND),
        version=version,
        about=About.ANSWERS.value,
        said=said,
    )


def _unread(connection: Connection, caller: Caller) -> Unread:
    """The posts that a person has to read, with or without a clock."""
    c = answer_clocks.c
    mine = (c.kind == inbox.UNREAD, c.state.in_(WAITING), seen_by(caller, c.brand))
    rows = connection.execute(select(answer_clocks).where(*mine).order_by(c.asked_at.desc(), c.id).limit(MAX_UNREAD))
    counts = connection.execute(
        select(c.brand, c.language, func.count())
        .where(*mine)
        .group_by(c.brand, c.language)
        .order_by(func.count().desc())
    )
    languages = [(row[0], row[1], row[2]) for row in counts]
    return Unread(list(rows), sum(count for _, _, count in languages), languages)
