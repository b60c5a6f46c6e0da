"""Buttons that were pressed in Slack. Slack signs what it sends, with the time, so that nothing can be sent again later.

The person reads the answer by an address that comes with the request. It is used only where it leads to the host of the
endpoint itself, and the deed does not wait for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Request, Response
from sqlalchemy import select
from starlette.background import BackgroundTask

from alerter.api import replies
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.notify import buttons, endpoints, http
from alerter.notify.formats import slack
from alerter.notify.links import BadLink
from alerter.notify.outlet import Kind
from alerter.store.tables import endpoints as endpoint_rows

_URL: Final = re.compile(r"[\x21-\x7e]{1,2000}")
_LINK: Final = "firebreak-page"


async def receive(service: ApiContext, name: str, request: Request) -> Response:
    body = await replies.bounded(request)
    secret = await replies.inbound_secret(service, name, Kind.SLACK)
    stamp, given = request.headers.get("x-slack-request-timestamp"), request.headers.get("x-slack-signature")
    right = slack.verified(secret or "", body, stamp, given, service.context().wall.timestamp())
    if secret is None or not right:
        raise replies.unsigned("signed with the inbound secret")
    try:
        came = json.loads(parse_qs(body.decode(), max_num_fields=20)["payload"][0])
        user, action = came["user"], came["actions"][0]
        own, data = f"{came.get('trigger_id') or action['action_ts']}", str(action.get("value") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise Problem(422, "no button of Slack's") from None
    if action.get("action_id") == _LINK:
        return Response(status_code=200)  # it only opens a page, and Slack tells of it all the same
    names = await service.database.read(lambda c: endpoints.sharing(c, secret, Kind.SLACK))
    try:
        press = buttons.pressed(service.links, data, names)
    except BadLink as error:
        return await _answer(service, name, came, f"{error}".capitalize())
    by = _actor(service, user if isinstance(user, dict) else {})
    event = f"slack:{hashlib.sha256(own.encode('utf-8', 'replace')).hexdigest()}"
    done = await replies.reply(service, replies.Reply(press.endpoint, event, press.incident, press.button, by))
    return await _answer(service, press.endpoint, came, done.words)


def _actor(service: ApiContext, user: dict[str, Any]) -> replies.Actor:
    shown = str(user.get("name") or user.get("username") or "somebody")
    return replies.actor(service.context().config, "slack", str(user.get("id", "")), shown, "Slack")


async def _answer(service: ApiContext, endpoint: str, came: dict[str, Any], said: str) -> Response:
    """Slack waits three seconds for the response, so what the person reads is sent behind it."""
    to = str(came.get("response_url") or "")
    own = await service.database.read(
        lambda c: c.scalar(select(endpoint_rows.c.url).where(endpoint_rows.c.name == endpoint))
    )
    if own is None or _place(own) != _place(to) or not _URL.fullmatch(to):
        return Response(status_code=200)
    return Response(
        status_code=200,
        background=BackgroundTask(service.outlets.sender.send, http.Request(to, {}, slack.answered(said))),
    )


def _place(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.scheme, parts.netloc
