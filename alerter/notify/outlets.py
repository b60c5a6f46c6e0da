"""The outlets for all kinds of endpoints, behind one interface."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from alerter.notify import buttons, signing
from alerter.notify.apprise_outlet import AppriseOutlet
from alerter.notify.attempt import Result
from alerter.notify.buttons import Button, Press
from alerter.notify.formats import alertmanager, ntfy, pagerduty, slack, teams
from alerter.notify.formats.alertmanager import Alert
from alerter.notify.formats.notice import Notice, notice_of
from alerter.notify.http import HttpSender, Request
from alerter.notify.kinds import BEARERS, AlertmanagerOptions, AlertmanagerWebhookOptions
from alerter.notify.links import CODE_DIGITS, METHOD_CODE, LinkSigner
from alerter.notify.outlet import Kind, OutboundMessage, Outlet
from alerter.notify.telegram_outlet import TelegramOutlet
from alerter.notify.tickets.outlet import TicketOutlet
from alerter.states import AttemptOutcome
from services.base.egress import Network

NOTHING_TO_TELL = Result(AttemptOutcome.DELIVERED, detail="nothing to send: this receiver never got the text of a post")

_A_LINK: Final = re.compile(r"(/(?:acknowledge(?:/once)?|confirm)/)[A-Za-z0-9_.\-]+")
_A_CODE: Final = re.compile(rf"\d{{{CODE_DIGITS}}}")
_WORTH_HIDING_CHARS: Final = 6
"""A shorter value is no secret, and would be found in many a word."""
OTHERS_SECONDS: Final = 0.5
"""How long the other members of a cluster are waited for, from one answer to the next, once one has accepted."""


class Outlets:
    """The outlets of one process. `wall` returns real seconds since 1970: receivers compare them with their clock."""

    def __init__(
        self,
        sender: HttpSender,
        wall: Callable[[], float],
        links: LinkSigner,
        allowed: Sequence[Network],
        public_url: str | None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.sender = sender
        self.alertmanager = AlertmanagerPush(sender, wall, links)

        def rendered(form: Callable[[Notice, OutboundMessage], bytes]) -> Outlet:
            return HttpOutlet(sender, lambda message: _noticed(message, links, form))

        self._apprise = AppriseOutlet(allowed, lambda message: coded(message, links))
        self._of: Mapping[Kind, Outlet] = {
            Kind.WEBHOOK: HttpOutlet(sender, lambda message: signed(message, int(wall()), links)),
            Kind.PAGERDUTY: rendered(lambda notice, message: pagerduty.render(notice, message.keys.key or "")),
            Kind.ALERTMANAGER: self.alertmanager,
            Kind.ALERTMANAGER_WEBHOOK: rendered(lambda notice, message: _as_webhook(notice, message, public_url)),
            Kind.SLACK: rendered(lambda notice, message: _as_slack(notice, message, links)),
            Kind.TEAMS: rendered(lambda notice, _: teams.render(notice)),
            Kind.TELEGRAM: TelegramOutlet(
                sender, links, lambda message: notice_of(stamped(message, links)), NOTHING_TO_TELL
            ),
            Kind.NTFY: HttpOutlet(sender, lambda message: _pushed(message, links)),
            Kind.APPRISE: self._apprise,
            Kind.HTTP: TicketOutlet(sender, lambda message: stamped(message, links), environment),
        }

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of endpoints that messages can be brought to."""
        return frozenset(self._of)

    async def check_apprise(self, url: str) -> Result:
        """Whether the library would take the URL: `DELIVERED` if it would. Nothing is sent."""
        return await self._apprise.check(url)

    async def deliver(self, message: OutboundMessage) -> Result:
        result = await self._of[message.kind].deliver(message)
        if result.detail:  # some receivers repeat what they were sent, and a link acts for whoever has it
            result = replace(result, detail=_A_LINK.sub(r"\1***", result.detail))
        if message.type == METHOD_CODE and result.detail:
            # Some receivers repeat what they were sent, and a code is for the person alone.
            return replace(result, detail=_A_CODE.sub("***", result.detail))
        return result

    async def close(self) -> None:
        for outlet in self._of.values():
            await outlet.close()


class HttpOutlet:
    """An outlet that makes one POST. `render` returns the request, or `None` if there is nothing to send."""

    def __init__(self, sender: HttpSender, render: Callable[[OutboundMessage], Request | None]) -> None:
        self._sender = sender
        self._render = render

    async def deliver(self, message: OutboundMessage) -> Result:
        request = self._render(message)
        if request is None:
            return NOTHING_TO_TELL
        # What we sign and state ourselves goes before what the endpoint was set up with.
        headers = {**message.keys.headers, **request.headers}
        return without(await self._sender.send(replace(request, headers=headers)), message.keys.headers)

    async def close(self) -> None:
        await self._sender.close()


class AlertmanagerPush:
    """Sends alerts to every member of the cluster, because they do not pass them on. An attempt succeeds if one member
    accepts: all of them get the alert again soon. So a member that stalls is not waited for once another has accepted."""

    def __init__(self, sender: HttpSender, wall: Callable[[], float], links: LinkSigner) -> None:
        self._sender = sender
        self._wall = wall
        self._links = links

    async def deliver(self, message: OutboundMessage) -> Result:
        alerts = self._alerts(stamped(message, self._links), message.options)
        if not alerts:
            return NOTHING_TO_TELL
        return await self.push(message.url, message.options, alerts, message.keys.headers)

    def alerts(self, body: bytes, endpoint: str, options: Mapping[str, Any], made: datetime) -> list[Alert]:
        """Returns the alerts for a message about an incident."""
        return self._alerts(self._links.stamped(body, endpoint, made), options)

    def _alerts(self, body: bytes, options: Mapping[str, Any]) -> list[Alert]:
        notice = notice_of(body)
        if notice is None:
            return []
        set_up = AlertmanagerOptions.model_validate(options)
        now = datetime.fromtimestamp(self._wall(), UTC)
        return alertmanager.alerts(notice, set_up.labels, now, timedelta(minutes=set_up.stands_minutes))

    async def push(
        self, url: str, options: Mapping[str, Any], alerts: list[Alert], headers: Mapping[str, str]
    ) -> Result:
        peers = (url, *AlertmanagerOptions.model_validate(options).peers)
        body = alertmanager.encoded(alerts)
        requests = [Request(f"{peer.rstrip('/')}/api/v2/alerts", headers, body) for peer in peers]
        sending = [asyncio.create_task(self._sender.send(request)) for request in requests]
        return without(await _first_accepted(sending), headers)

    async def close(self) -> None:
        await self._sender.close()


async def _first_accepted(sending: Sequence[asyncio.Task[Result]]) -> Result:
    """Returns an acceptance, once there is one and the others had `OTHERS_SECONDS`; or else one of the failures."""
    try:
        left: set[asyncio.Task[Result]] = set(sending)
        patience = None
        while left:
            done, left = await asyncio.wait(left, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            if any(one.result().outcome is AttemptOutcome.DELIVERED for one in done):
                patience = OTHERS_SECONDS
        results = [one.result() for one in sending if one.done()]
        return min(results, key=lambda result: result.outcome is not AttemptOutcome.DELIVERED)
    finally:
        for one in sending:
            one.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


def without(result: Result, headers: Mapping[str, str]) -> Result:
    """Returns the result without the values of these headers: some receivers repeat what they were sent."""
    detail = result.detail
    for value in headers.values():
        for part in (value, *value.split()):
            if len(part) >= _WORTH_HIDING_CHARS:
                detail = detail.replace(part, "***")
    return replace(result, detail=detail)


def signed(message: OutboundMessage, timestamp: int, links: LinkSigner) -> Request:
    """Returns our own message, signed as a Standard Webhook. The timestamp is that of the attempt."""
    body = stamped(message, links)
    return Request(message.url, signing.headers(message.keys.signing, message.delivery, timestamp, body), body)


def stamped(message: OutboundMessage, links: LinkSigner) -> bytes:
    """Returns the body as this endpoint gets it: with a link to acknowledge, if it is about an incident."""
    return links.completed(message.type, message.body, message.delivery, message.endpoint, message.made)


def coded(message: OutboundMessage, links: LinkSigner) -> bytes:
    """Returns the body as `stamped` does, with the code to reply with, if replies to this endpoint come back to us."""
    body = stamped(message, links)
    if not message.is_about_incident or not message.keys.hears or links.key is None:
        return body
    said = json.loads(body)
    said["data"]["reply_code"] = buttons.code_of(links, said["data"]["id"], message.endpoint)
    return json.dumps(said, ensure_ascii=False).encode("utf-8", "replace")


def _as_slack(notice: Notice, message: OutboundMessage, links: LinkSigner) -> bytes:
    data = buttons.heard_from(links, message.keys.hears, notice.key, message.endpoint)
    return slack.render(notice, data)


def _pushed(message: OutboundMessage, links: LinkSigner) -> Request | None:
    notice = notice_of(stamped(message, links))
    if notice is None:
        return None
    server, topic = ntfy.server_and_topic(message.url)
    take = None
    if notice.is_open:
        press = Press(Button.TAKE, notice.key, message.endpoint)
        take = buttons.once(links, press, notice.sequence, message.made)
    return Request(server, _bearer(message), ntfy.render(notice, topic, take))


def _bearer(message: OutboundMessage) -> dict[str, str]:
    """The key, of the kinds that are known by one in a header."""
    known = message.kind in BEARERS and message.keys.key is not None
    return {"authorization": f"Bearer {message.keys.key}"} if known else {}


def _noticed(
    message: OutboundMessage, links: LinkSigner, form: Callable[[Notice, OutboundMessage], bytes]
) -> Request | None:
    notice = notice_of(stamped(message, links))
    if notice is None:
        return None
    return Request(message.url, _bearer(message), form(notice, message))


def _as_webhook(notice: Notice, message: OutboundMessage, public_url: str | None) -> bytes:
    receiver = AlertmanagerWebhookOptions.model_validate(message.options).receiver
    return alertmanager.render_webhook(notice, receiver, public_url)
