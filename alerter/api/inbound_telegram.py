"""Buttons that were pressed in Telegram. The secret with which the webhook was set up proves that Telegram sends this.

What a button sends back was signed by us, because a changed client may send anything. The answer to the person travels in the
response, so nothing has to be sent for it.
"""

from __future__ import annotations

import hmac
import json
from typing import Any

from fastapi import Request, Response

from alerter.api import replies
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.notify import buttons, endpoints
from alerter.notify.formats import telegram
from alerter.notify.links import BadLink
from alerter.notify.outlet import Kind


async def receive(service: ApiContext, name: str, request: Request) -> Response:
    body = await replies.bounded(request)
    secret = await replies.inbound_secret(service, name, Kind.TELEGRAM)
    given = request.headers.get("x-telegram-bot-api-secret-token", "")
    right = hmac.compare_digest((secret or "").encode(), given.encode("utf-8", "replace"))
    if secret is None or not right:
        raise replies.unsigned("sent with the inbound secret")
    try:
        update = json.loads(body)
        event, pressed = int(update["update_id"]), update.get("callback_query")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise Problem(422, "no update of Telegram's Bot API") from None
    if not isinstance(pressed, dict):
        return Response(status_code=204)  # a message in the chat, say
    query, data, user = str(pressed.get("id", "")), pressed.get("data"), pressed.get("from")
    names = await service.database.read(lambda c: endpoints.sharing(c, secret, Kind.TELEGRAM))
    try:
        press = buttons.pressed(service.links, data if isinstance(data, str) else "", names)
    except BadLink as error:
        return _answer(query, f"{error}".capitalize())
    by = _actor(service, user if isinstance(user, dict) else {})
    # A number of the bot, and not of the endpoint: several endpoints may share the bot.
    done = await replies.reply(
        service, replies.Reply(press.endpoint, f"telegram:{event}", press.incident, press.button, by)
    )
    return _answer(query, done.words)


def _actor(service: ApiContext, user: dict[str, Any]) -> replies.Actor:
    names = [str(user[key]) for key in ("first_name", "last_name") if user.get(key)]
    shown = " ".join(names) or str(user.get("username") or "somebody")
    return replies.actor(service.context().config, "telegram", str(user.get("id", "")), shown, "Telegram")


def _answer(query: str, said: str) -> Response:
    return Response(telegram.answered(query, said), media_type="application/json")
