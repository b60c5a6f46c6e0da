"""Keeps a ticket about each incident in another system: opened once, then changed, and closed at the end.

**Exactly one ticket.** Who claims a delivery knows whether a ticket was asked for before (`rows`), and whether anybody
knows how that ended. If nobody does, the ticket is looked for by our key before another one is asked for; what a system
says it made is never asked for again. Where the system itself makes no second ticket for a key, the recipe says so, and
nothing is looked for.

**In order.** Of one ticket one delivery is under way at a time, so that no change overtakes the opening.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from alerter.notify.attempt import Result, TicketNews
from alerter.notify.formats.notice import Notice, Status, notice_of
from alerter.notify.http import Answered, HttpSender, Request
from alerter.notify.outlet import KnownTicket, OutboundMessage
from alerter.notify.tickets import paths, templates, words
from alerter.notify.tickets.proof import Proofs
from alerter.notify.tickets.recipe import TICKET_ID, ItemOf, Recipe, TicketRequest
from alerter.notify.tickets.setup import Prepared, prepared
from alerter.states import AttemptOutcome

MAX_ANSWER_BYTES: Final = 1_000_000
"""Of an answer that may hold an id. A list of tickets can be long."""
MAX_BODY_BYTES: Final = 256_000
MAX_URL_CHARS: Final = 4000
MAX_ITEMS: Final = 1000
_UNAUTHORIZED: Final = 401
_WORTH_HIDING_CHARS: Final = 6
CREATE, CLOSE, ACKNOWLEDGE, REOPEN, UPDATE = "create", "close", "acknowledge", "reopen", "update"

_REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 429})
"""Statuses by which a system says that it did nothing. Of all else nobody knows: a proxy may answer for it."""
_CLEAR: Final = frozenset({AttemptOutcome.BLOCKED})
"""Outcomes of which we know that nothing arrived. A refusal with a status below 500 says so too."""


def nothing(why: str) -> Result:
    return Result(AttemptOutcome.DELIVERED, detail=f"nothing to send: {why}")


@dataclass(frozen=True, slots=True)
class TicketWork:
    """One delivery on its way."""

    message: OutboundMessage
    prepared: Prepared
    notice: Notice
    body: bytes
    known: KnownTicket

    @property
    def recipe(self) -> Recipe:
        return self.prepared.recipe

    @property
    def is_over(self) -> bool:
        return self.notice.status is Status.RESOLVED

    @property
    def sequence(self) -> int | None:
        found = json.loads(self.body)["data"].get("sequence")
        return found if isinstance(found, int) else None

    def values(self, fields: Mapping[str, str]) -> dict[str, Any]:
        subject, filled = self.known.subject, self.prepared.values
        return words.values(self.notice, self.body, subject, self.message.delivery, filled, fields)


class TicketOutlet:
    """`stamped` returns a message's body as its endpoint gets it. `environment` holds the secrets."""

    def __init__(
        self, sender: HttpSender, stamped: Callable[[OutboundMessage], bytes], environment: Mapping[str, str]
    ) -> None:
        self._sender = sender
        self._stamped = stamped
        self._proofs = Proofs(sender, environment)

    async def deliver(self, message: OutboundMessage) -> Result:
        body = self._stamped(message)
        notice = notice_of(body)
        if notice is None:
            return replace(nothing("this receiver never got the text of a post"), ticket=TicketNews())
        known = message.ticket or KnownTicket(message.delivery)
        work = TicketWork(message, prepared(message.options), notice, body, known)
        if message.type == "endpoint.test" and work.recipe.test is not None:
            result = (await self._ask(work, work.recipe.test, work.values({}))).result
        else:
            result = await (self._with_our_key(work) if work.recipe.id == "key" else self._with_their_id(work))
        return result if result.ticket is not None else replace(result, ticket=TicketNews())

    async def close(self) -> None:
        await self._sender.close()

    async def _with_our_key(self, work: TicketWork) -> Result:
        """The system knows the ticket by our key, and makes no second one for it."""
        fields = {TICKET_ID: words.key_of(work.known.subject)} | dict(work.known.fields)
        if work.known.said:
            return await self._change(work, fields)
        if work.is_over and work.known.asked_at is None:
            return nothing("it was over before there was a ticket")
        if work.is_over:
            return await self._change(work, fields)
        return await self._create(work, fields)

    async def _with_their_id(self, work: TicketWork) -> Result:
        if work.known.fields:
            return await self._change(work, work.known.fields)
        if work.known.asked_at is not None or work.known.made:
            found = await self._find(work)
            if isinstance(found, Result):
                return found
            if found:
                return await self._found(work, found)
            if work.known.made:
                return Result(
                    AttemptOutcome.REFUSED, detail="a ticket was made, but neither its answer nor a search has its id"
                )
            assert work.recipe.find is not None
            left = work.recipe.find.settles_seconds - work.known.asked_seconds
            if left > 0:
                why = "a ticket may have been made that no search can find yet; it is looked for again"
                return Result(AttemptOutcome.REFUSED, None, why, retry_after=left)
        if work.is_over:
            return nothing("it was over before there was a ticket")
        return await self._create(work, {})

    async def _found(self, work: TicketWork, fields: dict[str, str]) -> Result:
        """It had been made. What it was opened with needs no second telling."""
        news = self._news(work, fields, CREATE)
        same = work.known.asked_sequence is not None and work.known.asked_sequence == work.sequence
        if same and not work.is_over:
            return replace(nothing("the ticket was there already, as this message says it"), ticket=news)
        result = await self._change(work, fields)
        return replace(result, ticket=replace(news, said=(result.ticket.said if result.ticket else "") or CREATE))

    async def _create(self, work: TicketWork, fields: Mapping[str, str]) -> Result:
        request = work.recipe.create
        answered = await self._ask(work, request, work.values(fields), only_once=work.recipe.id == "answer")
        result = answered.result
        if result.outcome is not AttemptOutcome.DELIVERED:
            status = result.status
            unclear = result.outcome not in _CLEAR and status not in _REFUSALS
            return replace(result, ticket=TicketNews(unclear=unclear, sequence=work.sequence))
        found = await asyncio.to_thread(_kept, request, answered.body, work.values({}))
        kept = dict(fields) | (found or {})
        if TICKET_ID not in kept:
            why = f"it was granted, but there is no id at {request.answer[TICKET_ID]} of the answer"
            news = TicketNews(made=True, sequence=work.sequence)
            return Result(AttemptOutcome.REFUSED, result.status, why, seconds=result.seconds, ticket=news)
        return replace(result, ticket=self._news(work, kept, CREATE))

    async def _change(self, work: TicketWork, fields: Mapping[str, str]) -> Result:
        name = operation(work.known.said, work.notice)
        request = _request(work.recipe, name)
        if request is None:
            return replace(nothing(f"the recipe has no {name}"), ticket=TicketNews(said=name))
        result = (await self._ask(work, request, work.values(fields))).result
        if result.outcome is AttemptOutcome.DELIVERED:
            return replace(result, ticket=TicketNews(said=name, sequence=work.sequence))
        # A ticket that is gone says nothing of the system, which takes others.
        gone = result.outcome is AttemptOutcome.GONE
        return replace(result, outcome=AttemptOutcome.REFUSED) if gone else result

    async def _find(self, work: TicketWork) -> dict[str, str] | Result:
        """Returns what is known of the ticket with our key, empty if there is none; or why that cannot be said."""
        request = work.recipe.find
        assert request is not None, "a recipe whose tickets have their own ids can find them"
        answered = await self._ask(work, request, work.values({}))
        if answered.result.outcome is not AttemptOutcome.DELIVERED:
            gone = answered.result.outcome is AttemptOutcome.GONE
            return replace(answered.result, outcome=AttemptOutcome.REFUSED) if gone else answered.result
        kept = await asyncio.to_thread(_kept, request, answered.body, work.values({}))
        if kept is None:
            return Result(AttemptOutcome.REFUSED, answered.result.status, "the search's answer cannot be read")
        return kept if TICKET_ID in kept else {}

    def _news(self, work: TicketWork, fields: dict[str, str], said: str) -> TicketNews:
        return TicketNews(fields, link_of(work, fields), said, sequence=work.sequence)

    async def _ask(
        self, work: TicketWork, request: TicketRequest, values: Mapping[str, Any], only_once: bool = False
    ) -> Answered:
        proof = await self._proofs.headers(work.prepared.setup)
        if isinstance(proof, Result):
            return Answered(proof)
        made = _made(work.message, request, values, proof, only_once)
        if made is None:
            return Answered(Result(AttemptOutcome.REFUSED, detail="the request would be too large"))
        answered = await self._sender.ask(made)
        if answered.result.status == _UNAUTHORIZED and self._proofs.forget(work.prepared.setup):
            proof = await self._proofs.headers(work.prepared.setup)
            if isinstance(proof, Result):
                return Answered(proof)
            answered = await self._sender.ask(replace(made, headers={**made.headers, **proof}))
        hidden = (*self._proofs.secrets(work.prepared.setup), *made.headers.values(), *proof.values())
        return Answered(_without(answered.result, hidden), answered.body)


def operation(said: str, notice: Notice) -> str:
    """Returns what is done to a ticket that there is, after `said` was the last thing done to it."""
    if notice.status is Status.RESOLVED:
        return CLOSE
    if said == CLOSE:
        return REOPEN
    return ACKNOWLEDGE if notice.status is Status.ACKNOWLEDGED and said != ACKNOWLEDGE else UPDATE


def _request(recipe: Recipe, name: str) -> TicketRequest | None:
    found: TicketRequest | None = getattr(recipe, name)
    return recipe.update if found is None and name in (ACKNOWLEDGE, REOPEN) else found


def _made(
    message: OutboundMessage,
    request: TicketRequest,
    values: Mapping[str, Any],
    proof: Mapping[str, str],
    only_once: bool,
) -> Request | None:
    """Returns the request with everything filled in, or `None` if it is too large."""
    url = message.url.rstrip("/") + templates.in_path(request.path, values) if request.path else message.url
    body = b""
    if request.body is not None:
        filled = templates.filled(request.body, values)
        body = json.dumps(filled, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    if len(url) > MAX_URL_CHARS or len(body) > MAX_BODY_BYTES:
        return None
    own = {name.lower(): templates.in_header(source, values) for name, source in request.headers.items()}
    headers = {"accept": "application/json", **own, **message.keys.headers, **proof}
    return Request(url, headers, body, request.method, MAX_ANSWER_BYTES, only_once)


def _kept(request: TicketRequest, body: bytes, values: Mapping[str, Any]) -> dict[str, str] | None:
    """Returns what the recipe keeps of an answer, or `None` if that is no JSON. Not for the event loop: answers are long."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if request.item is not None:
        answer = _item(answer, request.item, str(templates.value_of(request.item.text, values)))
    found = {name: paths.text_at(answer, place) for name, place in request.answer.items()}
    return {name: text for name, text in found.items() if text is not None}


def _item(answer: Any, which: ItemOf, text: str) -> Any:
    items = paths.at(answer, which.each)
    for item in items[:MAX_ITEMS] if isinstance(items, list) else ():
        there = paths.at(item, which.where)
        if there == text or (isinstance(there, list) and text in there):
            return item
    return None


def link_of(work: TicketWork, fields: Mapping[str, str]) -> str | None:
    """Returns the address of the ticket's page, on the host of the endpoint's URL."""
    if work.recipe.link is None:
        return None
    parts = urlsplit(work.message.url)
    path = templates.in_path(work.recipe.link, work.values(fields))
    url = f"{parts.scheme}://{parts.netloc}{path}"
    return url if path.startswith("/") and len(url) <= 500 else None


def _without(result: Result, hidden: tuple[str, ...]) -> Result:
    """Returns the result without what some systems repeat of a request."""
    detail = result.detail
    for value in hidden:
        for part in (value, *value.split()):
            if len(part) >= _WORTH_HIDING_CHARS:
                detail = detail.replace(part, "***")
    return replace(result, detail=detail)
