"""Whether an endpoint that is asked for can be one, field by field."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import SecretStr

from alerter.api import schemas
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.notify.egress import BadTarget, check_url
from alerter.notify.endpoints import Draft, Purpose
from alerter.notify.kinds import TRAITS, BadSetup, check_headers, check_key, checked_options
from alerter.notify.outlet import Keys, Kind
from alerter.states import AttemptOutcome
from services.config.rota import ALL

APPRISE_URL: Final = re.compile(r"[a-z][a-z0-9+-]{1,30}://[\x21-\x7e]{1,1900}")


def checked(service: ApiContext, body: schemas.EndpointIn, brands: Sequence[str], secret: str | None) -> Draft:
    """Raises `Problem` 422 with the field that is wrong."""
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
        if not traits.http and not APPRISE_URL.fullmatch(url):
            raise BadSetup("url", "is not an apprise URL (mailto://..., twilio://...)")
    except BadSetup as error:
        raise wrong(error.at, error.why) from None
    for at, one in [("url", url)] * traits.http + [("options.peers", peer) for peer in options.get("peers", ())]:
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


def checked_change(kind: Kind, had: Keys, body: schemas.EndpointChange) -> dict[str, str] | None:
    """Returns the headers that an endpoint with these secrets is to have, or `None` if they stay. Raises `Problem` 422."""
    if body.headers is None and body.auth is None:
        return None
    given = body.headers
    if given is None:  # only the authorization is another
        given = {name: SecretStr(value) for name, value in had.headers.items() if name != "authorization"}
    try:
        return check_headers(kind, given_headers(given, body.auth), had.key)
    except BadSetup as error:
        raise wrong(error.at, error.why) from None


async def check_apprise(service: ApiContext, url: str) -> None:
    """Raises `Problem` 422 if the library does not know the URL or it would open a file, 503 if it does not answer."""
    result = await service.outlets.check_apprise(url)
    if result.outcome in (AttemptOutcome.TIMEOUT, AttemptOutcome.UNREACHABLE):
        raise Problem(503, "the URL cannot be checked right now", {"retry-after": "5"})
    if result.outcome is not AttemptOutcome.DELIVERED:
        raise wrong("url", result.detail.removeprefix("the URL "))


def wrong(at: str, why: str) -> Problem:
    return Problem(422, f"{at} {why}", errors=[{"at": f"body.{at}", "why": why}])
