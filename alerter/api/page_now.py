"""Pages somebody now, with a message and outside any policy. Behind the API and the console alike."""

from __future__ import annotations

import secrets

from fastapi import APIRouter
from sqlalchemy.exc import IntegrityError

from alerter.api import schemas
from alerter.api.auth import Caller, Responder
from alerter.api.context import ApiContext
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.desk.service import IncidentService
from alerter.incidents.record import IncidentRecord
from alerter.incidents.transitions import Refused
from alerter.store import audit
from services.config.model import Config
from services.config.rota import OWNER
from services.contracts.base import BrandId


async def page(service: ApiContext, caller: Caller, asked: schemas.PageIn) -> IncidentRecord:
    """Page whom `asked` names, and write it into the audit log. Returns the incident that it opened, now or before.

    Raises `Problem` 404 if there is no such brand, person or schedule, and 409 if nobody would be told.
    """
    config = service.process.config
    brand = config.brand(BrandId(asked.brand))
    if brand is None or not caller.sees(brand.id):
        raise Problem(404, f"there is no brand {asked.brand}")
    unknown = [target for target in asked.to if not _is_there(config, target)]
    if caller.outside:
        unknown += [target for target in asked.to if target not in config.paged_for((brand.id,))]
    if unknown:
        raise Problem(404, f"there is no {', '.join(dict.fromkeys(unknown))}")
    key = asked.id or secrets.token_hex(8)

    def act(desk: IncidentService) -> IncidentRecord:
        record, is_new = desk.people.page(brand, key, asked.to, asked.message, asked.by, asked.severity)
        if is_new:
            detail = {"by": asked.by, "to": list(asked.to), "message": asked.message}
            incident = record.incident.id
            audit.record(desk.connection, service.context().now, caller.name, "page.sent", incident, brand.id, detail)
        return record

    try:
        try:
            return await service.act(act)
        except IntegrityError:  # another replica was faster with the same id: what it opened is found now
            return await service.act(act)
    except Refused as error:
        raise Problem(409, str(error)) from None


def may_page(caller: Caller, config: Config) -> list[str]:
    """Returns the people and schedules that the caller may page, and `owner`, in the order in which a form lists them.

    A key that is limited to brands may page whom the policies of these brands page.
    """
    every = [*(f"schedule:{one.id}" for one in config.schedules), *(f"responder:{one.id}" for one in config.responders)]
    if caller.brands is None:
        return [*every, OWNER]
    paged = config.paged_for(caller.brands)
    return [target for target in (*every, OWNER) if target in paged]


def _is_there(config: Config, target: str) -> bool:
    """Returns False if the target names a person or schedule that the file does not have."""
    kind, _, name = target.rpartition(":")
    known = {"responder": config.responder, "schedule": config.schedule}.get(kind)
    return known is None or known(name) is not None


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/page", status_code=201, responses={**ABSENT, **CONFLICT})
    async def page_somebody(caller: Responder, asked: schemas.PageIn) -> schemas.PageOut:
        """Page somebody now, with a message of your own. It opens an incident that they acknowledge, which no silence,
        quiet hours or page budget hold back."""
        record = await page(service, caller, asked)
        return schemas.PageOut(incident=record.incident, told=record.audience)
