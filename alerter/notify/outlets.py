"""Every kind of endpoint has an outlet here; whoever delivers knows only this door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from alerter.notify import signing
from alerter.notify.apprise_outlet import AppriseOutlet
from alerter.notify.attempt import Result
from alerter.notify.egress import Network
from alerter.notify.formats import alertmanager, pagerduty, slack, teams
from alerter.notify.formats.alertmanager import Alert
from alerter.notify.formats.notice import Notice, notice_of
from alerter.notify.http import HttpSender, Request
from alerter.notify.kinds import AlertmanagerOptions, AlertmanagerWebhookOptions
from alerter.notify.links import LinkSigner
from alerter.notify.outlet import Kind, OutboundMessage, Outlet
from alerter.states import AttemptOutcome

NOTHING_TO_TELL = Result(AttemptOutcome.DELIVERED, detail="nothing to tell: it was never sent a post's words")
OVERTAKEN = Result(AttemptOutcome.DELIVERED, detail="nothing to tell: a newer state of it has arrived already")


class Outlets:
    """The outlets of one process. `wall` gives real seconds since 1970: receivers compare it with their own clock."""

    def __init__(
        self,
        post: HttpSender,
        wall: Callable[[], float],
        links: LinkSigner,
        allowed: Sequence[Network],
        public_url: str | None,
    ) -> None:
        self.post = post
        self.alertmanager = AlertmanagerPush(post, wall, links)

        def said(form: Callable[[Notice, OutboundMessage], bytes]) -> Outlet:
            return HttpOutlet(post, lambda letter: _noticed(letter, links, form))

        self._of: Mapping[Kind, Outlet] = {
            Kind.WEBHOOK: HttpOutlet(post, lambda letter: signed(letter, int(wall()), links)),
            Kind.PAGERDUTY: said(lambda notice, letter: pagerduty.render(notice, letter.keys.key or "")),
            Kind.ALERTMANAGER: self.alertmanager,
            Kind.ALERTMANAGER_WEBHOOK: said(lambda notice, letter: _as_webhook(notice, letter, public_url)),
            Kind.SLACK: said(lambda notice, _: slack.render(notice)),
            Kind.TEAMS: said(lambda notice, _: teams.render(notice)),
            Kind.APPRISE: AppriseOutlet(allowed, lambda letter: stamped(letter, links)),
        }

    async def deliver(self, letter: OutboundMessage) -> Result:
        return OVERTAKEN if letter.overtaken else await self._of[letter.kind].deliver(letter)

    async def close(self) -> None:
        for outlet in self._of.values():
            await outlet.close()


class HttpOutlet:
    """An outlet that is one POST; `render` answers `None` where there is nothing to tell."""

    def __init__(self, post: HttpSender, render: Callable[[OutboundMessage], Request | None]) -> None:
        self._post = post
        self._render = render

    async def deliver(self, letter: OutboundMessage) -> Result:
        request = self._render(letter)
        return NOTHING_TO_TELL if request is None else await self._post.post(request)

    async def close(self) -> None:
        await self._post.close()


class AlertmanagerPush:
    """To every member of the cluster: they do not tell each other. One that took it is enough; the alert is sent to all
    of them again soon."""

    def __init__(self, post: HttpSender, wall: Callable[[], float], links: LinkSigner) -> None:
        self._post = post
        self._wall = wall
        self._links = links

    async def deliver(self, letter: OutboundMessage) -> Result:
        alerts = self.alerts(letter.body, letter.endpoint, letter.options, letter.made)
        return NOTHING_TO_TELL if not alerts else await self.push(letter.url, letter.options, alerts)

    def alerts(self, body: bytes, endpoint: str, options: Mapping[str, Any], made: datetime) -> list[Alert]:
        notice = notice_of(self._links.stamped(body, endpoint, made))
        if notice is None:
            return []
        set_up = AlertmanagerOptions.model_validate(options)
        now = datetime.fromtimestamp(self._wall(), UTC)
        return alertmanager.alerts(notice, set_up.labels, now, timedelta(minutes=set_up.stands_minutes))

    async def push(self, url: str, options: Mapping[str, Any], alerts: list[Alert]) -> Result:
        peers = (url, *AlertmanagerOptions.model_validate(options).peers)
        body = alertmanager.encoded(alerts)
        requests = [Request(f"{peer.rstrip('/')}/api/v2/alerts", {}, body) for peer in peers]
        results = await asyncio.gather(*(self._post.post(request) for request in requests))
        return min(results, key=lambda result: result.outcome is not AttemptOutcome.DELIVERED)

    async def close(self) -> None:
        await self._post.close()


def signed(letter: OutboundMessage, timestamp: int, links: LinkSigner) -> Request:
    """Our own message by Standard Webhooks; the timestamp is that of the attempt."""
    body = stamped(letter, links)
    return Request(letter.url, signing.headers(letter.keys.signing, letter.delivery, timestamp, body), body)


def stamped(letter: OutboundMessage, links: LinkSigner) -> bytes:
    return links.stamped(letter.body, letter.endpoint, letter.made)


def _noticed(
    letter: OutboundMessage, links: LinkSigner, form: Callable[[Notice, OutboundMessage], bytes]
) -> Request | None:
    notice = notice_of(stamped(letter, links))
    if notice is None:
        return None
    bearer = letter.kind is Kind.ALERTMANAGER_WEBHOOK and letter.keys.key is not None
    headers = {"authorization": f"Bearer {letter.keys.key}"} if bearer else {}
    return Request(letter.url, headers, form(notice, letter))


def _as_webhook(notice: Notice, letter: OutboundMessage, public_url: str | None) -> bytes:
    receiver = AlertmanagerWebhookOptions.model_validate(letter.options).receiver
    return alertmanager.render_webhook(notice, receiver, public_url)
