"""The methods by which a person is reached, in their own hands: confirmed by a code, tried out, switched off and on again.

Only the person does that (`by` is their id or name), or an administrator. A person's last method that works stays on.
"""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import Connection

from alerter.api import schemas
from alerter.api.auth import Caller, Reader, Responder
from alerter.api.context import ApiContext
from alerter.api.oncall import responder_of
from alerter.api.problems import ABSENT, CONFLICT, Problem, described
from alerter.api.schemas import Person, Shape
from alerter.api.scopes import Scope
from alerter.escalation import untold
from alerter.notify import codes, methods, outbox
from alerter.notify.codes import Entered
from alerter.notify.formats import native
from alerter.notify.links import CODE_DIGITS
from alerter.notify.methods import Method
from alerter.notify.outbox import Cause
from alerter.oncall.method_states import Proof
from alerter.oncall.responders import Directory
from alerter.store import audit
from services.config.model import Config
from services.config.rota import Responder as PersonOnCall
from services.config.section import Slug

TOO_MANY = described(429, "too many for this hour")


class MethodOut(Shape):
    """One way to reach a person: an endpoint. It is used if it works and is not switched off."""

    method: str
    kind: str | None = Field(description="of the endpoint; null: there is none")
    works: bool = Field(description="the endpoint exists, is enabled and does not only fail")
    counts: bool = Field(description="pages come by it: it works, is on and, where the configuration asks, confirmed")
    confirmed_at: datetime | None
    confirmed_how: Proof | None
    off_at: datetime | None
    off_by: str | None


class Methods(Shape):
    responder: str
    name: str
    only_confirmed: bool = Field(description="whether the configuration lets only confirmed methods count")
    items: tuple[MethodOut, ...]


class ByPerson(Shape):
    by: Person


class CodeIn(Shape):
    """The code that came by the method."""

    by: Person
    code: Annotated[str, StringConstraints(pattern=rf"^[0-9]{{{CODE_DIGITS}}}$")] = Field(examples=["042137"])


class SentCode(Shape):
    """A code, and what it is for."""

    model_config = ConfigDict(extra="ignore")
    responder: str
    who: str
    endpoint: str
    because: str
    ends_at: datetime
    code: str = Field(description="six digits, which the person enters on their page of the console")


class CodeMessage(Shape):
    """Body of a `method.code` webhook: a person wants to see whether messages reach them here. Show it to them alone."""

    model_config = ConfigDict(extra="ignore")
    type: str = Field(pattern=r"^method\.code$")
    timestamp: datetime
    data: SentCode


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/responders/{responder}/methods", responses=ABSENT)
    async def list_methods(caller: Reader, responder: Slug) -> Methods:
        """By which methods a person is reached, and what is known of each."""
        return await listed(service, caller, responder)

    @routes.post(
        "/responders/{responder}/methods/{method}/code", status_code=202, responses={**ABSENT, **CONFLICT, **TOO_MANY}
    )
    async def send_method_code(caller: Responder, responder: Slug, method: Slug, body: ByPerson) -> Methods:
        """Send a code there. It is valid for ten minutes, for five tries; there are five codes an hour."""
        return await send_code(service, caller, responder, method, body.by)

    @routes.post("/responders/{responder}/methods/{method}/confirm", responses={**ABSENT, **CONFLICT})
    async def confirm_method(caller: Responder, responder: Slug, method: Slug, body: CodeIn) -> Methods:
        """Enter the code that came there."""
        return await enter_code(service, caller, responder, method, body.by, body.code)

    @routes.post(
        "/responders/{responder}/methods/{method}/test", status_code=202, responses={**ABSENT, **CONFLICT, **TOO_MANY}
    )
    async def test_method(caller: Responder, responder: Slug, method: Slug, body: ByPerson) -> schemas.Queued:
        """Send a test message there, as long and as odd as a real page."""
        return schemas.Queued(delivery=await send_test(service, caller, responder, method, body.by))

    @routes.post("/responders/{responder}/methods/{method}/off", responses={**ABSENT, **CONFLICT})
    async def switch_method_off(caller: Responder, responder: Slug, method: Slug, body: ByPerson) -> Methods:
        """No page comes by it any more. The last one that works stays on."""
        return await switch(service, caller, responder, method, body.by, off=True)

    @routes.post("/responders/{responder}/methods/{method}/on", responses=ABSENT)
    async def switch_method_on(caller: Responder, responder: Slug, method: Slug, body: ByPerson) -> Methods:
        """Pages come by it again."""
        return await switch(service, caller, responder, method, body.by, off=False)


def is_own(config: Config, caller: Caller, by: str, responder: str) -> bool:
    """Returns True if whoever signs as `by` may act for this person: they are it, or they administer."""
    found = Directory(config).responder_called(by)
    return caller.may(Scope.ADMIN) or (found is not None and found.id == responder)


def _person(service: ApiContext, caller: Caller, responder: str, method: str, by: str) -> PersonOnCall:
    """Raises `Problem` 404 or 403."""
    person = responder_of(service, caller, responder)
    if method not in person.methods:
        raise Problem(404, f"{responder} has no method {method}")
    if not is_own(service.process.config, caller, by, responder):
        raise Problem(403, f"only {person.called} may do that, or somebody with an admin key")
    return person


async def listed(service: ApiContext, caller: Caller, responder: str) -> Methods:
    """Raises `Problem` 404."""
    person = responder_of(service, caller, responder)
    found = await service.database.read(lambda c: methods.of_person(c, person))
    return shown(person, found, service.process.config)


def shown(person: PersonOnCall, found: tuple[Method, ...], config: Config) -> Methods:
    counting = counted(found, config)
    items = [
        MethodOut(
            method=one.name,
            kind=one.kind,
            works=one.works,
            counts=one in counting,
            confirmed_at=one.confirmed_at,
            confirmed_how=one.confirmed_how,
            off_at=one.off_at,
            off_by=one.off_by,
        )
        for one in found
    ]
    only = config.only_confirmed_methods
    return Methods(responder=person.id, name=person.called, only_confirmed=only, items=tuple(items))


def counted(found: tuple[Method, ...], config: Config) -> tuple[Method, ...]:
    """Returns the methods by which pages come."""
    used = tuple(one for one in found if one.is_used)
    sure = tuple(one for one in used if one.confirmed_at is not None)
    return sure or used if config.only_confirmed_methods else used


async def send_code(service: ApiContext, caller: Caller, responder: str, method: str, by: str) -> Methods:
    """Raises `Problem` 403, 404, 409 or 429."""
    person = _person(service, caller, responder, method, by)
    context = service.context()

    def write(connection: Connection) -> bool:
        _check_works(connection, person, method)
        if not codes.send(connection, person, method, secrets.token_hex(16), context.now, context.wall):
            return False
        _note(connection, context.now, caller, "method.code_sent", person, method, by)
        return True

    if not await service.database.write(write):
        raise Problem(429, f"there were {codes.MOST_CODES} codes within the hour", {"retry-after": "3600"})
    service.ring()
    return await listed(service, caller, responder)


async def enter_code(service: ApiContext, caller: Caller, responder: str, method: str, by: str, code: str) -> Methods:
    """Raises `Problem` 403, 404 or 409."""
    person = _person(service, caller, responder, method, by)
    now = service.context().now

    def write(connection: Connection) -> Entered:
        entered = codes.enter(connection, service.links, person.id, method, code, now)
        if entered is Entered.RIGHT:
            methods.confirm(connection, person.id, method, Proof.CODE, now)
            _note(connection, now, caller, "method.confirmed", person, method, by)
        return entered

    entered = await service.database.write(write)
    if entered is Entered.WRONG:
        raise Problem(409, "that is not the code")
    if entered is Entered.NONE:
        raise Problem(
            409, "there is no code that can be entered: it is too old, or had too many tries; send another one"
        )
    service.ring()
    return await listed(service, caller, responder)


async def send_test(service: ApiContext, caller: Caller, responder: str, method: str, by: str) -> str:
    """Returns the delivery's id. Raises `Problem` 403, 404, 409 or 429."""
    person = _person(service, caller, responder, method, by)
    context = service.context()
    cause = Cause("endpoint.test", None, ("test", uuid.uuid4().hex))

    def write(connection: Connection) -> bool:
        _check_works(connection, person, method)
        if not codes.tests_left(connection, method, context.now):
            return False
        outbox.end_pause(connection, method)
        outbox.enqueue(connection, cause, native.render_test(method, context.now), [method], context.now, context.wall)
        _note(connection, context.now, caller, "method.tested", person, method, by)
        return True

    if not await service.database.write(write):
        raise Problem(429, f"there were {codes.MOST_TESTS} test messages within the hour", {"retry-after": "3600"})
    service.ring()
    return outbox.delivery_id(cause, method)


async def switch(service: ApiContext, caller: Caller, responder: str, method: str, by: str, *, off: bool) -> Methods:
    """Raises `Problem` 403, 404 or 409."""
    person, config = _person(service, caller, responder, method, by), service.process.config
    now = service.context().now

    def write(connection: Connection) -> None:
        found = methods.of_person(connection, person, lock=True)
        if off:
            left = tuple(one for one in found if one.name != method)
            used = [one.name for one in counted(found, config)]
            is_last = method in used and not any(one.name in used for one in counted(left, config))
            if is_last or all(one.off_at is not None for one in left):
                raise Problem(409, f"{method} is the last method by which pages reach {person.called}: it stays on")
        if methods.switch(connection, person.id, method, (now, by) if off else None):
            if not off:
                untold.look_now(connection, now)  # a page that reached nobody may leave by it
            _note(connection, now, caller, f"method.switched_{'off' if off else 'on'}", person, method, by)

    await service.database.write(write)
    service.ring()
    return await listed(service, caller, responder)


def _check_works(connection: Connection, person: PersonOnCall, method: str) -> None:
    """Raises `Problem` 409 if nothing can be sent there."""
    one = next(one for one in methods.of_person(connection, person, lock=True) if one.name == method)
    if one.kind is None:
        raise Problem(409, f"there is no endpoint {method} yet: an administrator creates it")
    if one.is_disabled:
        raise Problem(409, f"the endpoint {method} is disabled")


def _note(
    connection: Connection, now: datetime, caller: Caller, what: str, person: PersonOnCall, method: str, by: str
) -> None:
    audit.record(connection, now, caller.name, what, f"{person.id}/{method}", None, {"by": by})
