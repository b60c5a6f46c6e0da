"""Whether an endpoint that is asked for can be one, field by field."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import Connection

from alerter.api import schemas
from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.notify import endpoints
from alerter.notify.endpoints import Draft, Purpose
from alerter.notify.hours import hours_of
from alerter.notify.kinds import TRAITS, BadSetup, check_headers, check_key, checked_options
from alerter.notify.outlet import Keys, Kind
from alerter.notify.tickets.setup import prepared
from alerter.states import AttemptOutcome
from services.base.egress import BadTarget, check_url
from services.config.rota import ALL

CLEARED: Final = frozenset({"owner", "fallback", "concurrency", "per_second"})
"""What a change takes away by null. Of all else null is as if it were left out."""
MAIL_URL: Final = re.compile(r"mailtos?:", re.IGNORECASE)
APPRISE_URL: Final = re.compile(r"[a-z][a-z0-9+-]{1,30}://[\x21-\x7e]{1,1900}")


def checked(
    service: ApiContext, body: schemas.EndpointIn, brands: Sequence[str], secret: str | None, *, is_new_url: bool = True
) -> Draft:
    """Raises `Problem` 422 with the field that is wrong. An address that stays as it is, is not asked again whether it may be
    reached: that is for each delivery to find out."""
    if body.name == ALL:
        raise wrong("name", f"must be another one: {ALL!r} stands for every endpoint in a policy")
    traits = TRAITS[body.kind]
    url = body.url or traits.url
    if url is None:
        raise wrong("url", "is required")
    key = body.key.get_secret_value() if body.key is not None else None
    inbound = body.inbound_secret.get_secret_value() if body.inbound_secret is not None else None
    try:
        check_key(body.kind, key)
        options = checked_options(body.kind, body.options)
        headers = check_headers(body.kind, given_headers(body.headers, body.auth), key)
        if inbound is not None and not traits.inbound:
            raise BadSetup("inbound_secret", f"an endpoint of kind {body.kind} sends nothing back")
        if traits.url_like is not None and not traits.url_like.fullmatch(url):
            raise BadSetup("url", traits.url_words)
        if inbound is not None and MAIL_URL.match(url):
            raise BadSetup("inbound_secret", "is for text messages: nothing comes back by mail, whose page has a link")
        others = _checked_tickets(options, headers, inbound) if body.kind is Kind.HTTP else []
        if not traits.http and not APPRISE_URL.fullmatch(url):
            raise BadSetup("url", "is not an apprise URL (mailto://..., twilio://...)")
    except BadSetup as error:
        raise wrong(error.at, error.why) from None
    others += [("options.peers", peer) for peer in options.get("peers", ())]
    for at, one in [("url", url)] * (traits.http and is_new_url) + others:
        try:
            check_url(one, service.allowed)
        except BadTarget as error:
            raise wrong(at, str(error)) from None
    if body.name in (body.owner, body.fallback):
        raise wrong("owner" if body.name == body.owner else "fallback", "must be another endpoint")
    secrets = {Purpose.SIGNING: secret, Purpose.KEY: key, Purpose.INBOUND: inbound}
    if headers:
        secrets[Purpose.HEADERS] = json.dumps(headers)
    return Draft(
        name=body.name,
        kind=body.kind,
        url=url,
        description=body.description,
        brands=tuple(brands),
        severities=body.severities,
        types=body.types,
        subscribed=body.subscribed,
        owner=body.owner,
        fallback=body.fallback,
        concurrency=body.concurrency,
        per_second=body.per_second or traits.per_second,
        options=options,
        hours=body.hours,
        header_names=tuple(sorted(headers)),
        secrets={purpose: value for purpose, value in secrets.items() if value is not None},
    )


def _checked_tickets(
    options: Mapping[str, Any], headers: Mapping[str, str], inbound: str | None
) -> list[tuple[str, str]]:
    """Returns the other URLs of an endpoint that keeps tickets. Raises `BadSetup` if its secrets are not there, or twice."""
    known = prepared(options)
    missing = known.setup.missing(os.environ)
    if missing:
        raise BadSetup("options.auth", f"{missing[0]} is not set in the alerter's environment")
    if known.setup.auth is not None and "authorization" in headers:
        raise BadSetup("auth", "and options.auth say the same: one of them is enough")
    if inbound is not None and known.recipe.inbound is None:
        raise BadSetup("inbound_secret", "the recipe says nothing of what comes back")
    return [(f"options.{at}", url) for at, url in known.setup.urls()]


def given_headers(headers: Mapping[str, SecretStr], auth: schemas.AuthIn | None) -> dict[str, str]:
    """Returns the headers that are asked for, with the authorization among them. Raises `BadSetup` if that is there twice."""
    found = {name: value.get_secret_value() for name, value in headers.items()}
    if auth is None:
        return found
    if any(name.lower() == "authorization" for name in found):
        raise BadSetup("auth", "and a header of the name authorization are the same")
    if auth.bearer is not None:
        return found | {"authorization": f"Bearer {auth.bearer.get_secret_value()}"}
    assert auth.password is not None
    both = f"{auth.user}:{auth.password.get_secret_value()}"
    return found | {"authorization": f"Basic {base64.b64encode(both.encode('utf-8', 'surrogatepass')).decode()}"}


def as_asked(row: Any, had: Keys, inbound: str | None, body: schemas.EndpointChange) -> schemas.EndpointIn:
    """Returns what an endpoint with this row and these secrets would have been asked to be, had it begun so."""
    fields: dict[str, Any] = {
        "name": row.name,
        "kind": row.kind,
        "url": row.url,
        "key": had.key,
        "inbound_secret": inbound,
        "headers": had.headers,
        "hours": hours_of(row.hours),
        "options": json.loads(row.options),
        "description": row.description,
        "brands": json.loads(row.brands),
        "severities": json.loads(row.severities),
        "types": json.loads(row.types),
        **{name: getattr(row, name) for name in ("subscribed", "owner", "fallback", "concurrency", "per_second")},
    }
    given = {name: getattr(body, name) for name in body.model_fields_set}
    if body.auth is not None and body.headers is None:  # only the authorization is another
        fields["headers"] = {name: value for name, value in had.headers.items() if name != "authorization"}
    changed = {name: value for name, value in given.items() if value is not None or name in CLEARED}
    return schemas.EndpointIn.model_validate(fields | changed)


def check_others(
    connection: Connection, caller: Caller, fields: Collection[str], owner: str | None, fallback: str | None
) -> None:
    """Raises `Problem` 422 for an owner or a fallback, among these fields, that does not exist for this caller."""
    for at, name in (("owner", owner), ("fallback", fallback)):
        if at not in fields or name is None:
            continue
        brands = endpoints.brands_of(connection, name)
        if brands is None or not caller.covers(json.loads(brands)):
            raise wrong(at, f"there is no endpoint {name}")


async def check_apprise(service: ApiContext, url: str) -> None:
    """Raises `Problem` 422 if the library does not know the URL or it would open a file, 503 if it does not answer."""
    result = await service.outlets.check_apprise(url)
    if result.outcome in (AttemptOutcome.TIMEOUT, AttemptOutcome.UNREACHABLE):
        raise Problem(503, "the URL cannot be checked right now", {"retry-after": "5"})
    if result.outcome is not AttemptOutcome.DELIVERED:
        raise wrong("url", result.detail.removeprefix("the URL "))


def wrong(at: str, why: str) -> Problem:
    return Problem(422, f"{at} {why}", errors=[{"at": f"body.{at}", "why": why}])
