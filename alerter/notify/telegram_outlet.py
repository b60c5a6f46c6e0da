"""Delivers by Telegram's Bot API: a new message with buttons, and no buttons any more under the message before it.

The attempt is what became of the new message. Whether the one before it could be changed decides nothing: its buttons do no
harm, and whoever presses one is told how it stands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from alerter.notify import buttons
from alerter.notify.attempt import Result
from alerter.notify.formats import telegram
from alerter.notify.formats.notice import Notice
from alerter.notify.http import HttpSender, Request
from alerter.notify.links import LinkSigner
from alerter.notify.outlet import OutboundMessage
from alerter.states import AttemptOutcome

CHANGE_SECONDS: Final = 3.0
_UNNAMED: Final = "Telegram took it, and did not say which message it is"


class TelegramOutlet:
    """`noticed` returns what a message states, or `None` if there is nothing to send."""

    def __init__(
        self,
        sender: HttpSender,
        links: LinkSigner,
        noticed: Callable[[OutboundMessage], Notice | None],
        nothing: Result,
    ) -> None:
        self._sender = sender
        self._links = links
        self._noticed = noticed
        self._nothing = nothing

    async def deliver(self, message: OutboundMessage) -> Result:
        notice = self._noticed(message)
        if notice is None:
            return self._nothing
        data = buttons.heard_from(self._links, message.keys.hears, notice.key, message.endpoint)
        body = telegram.render(notice, message.options, data, message.earlier)
        result = await self._call(message, "sendMessage", body)
        if result.outcome is not AttemptOutcome.DELIVERED:
            return replace(result, retry_after=result.retry_after or telegram.retry_after(result.detail))
        if message.earlier is not None:
            method, body = telegram.changed(notice, message.options, message.earlier)
            with contextlib.suppress(TimeoutError):  # the page has arrived, and is recorded only behind this
                async with asyncio.timeout(CHANGE_SECONDS):
                    await self._call(message, method, body)
        reference = telegram.reference(result.detail)
        said = _UNNAMED if reference is None else f"message {reference}"
        return replace(result, detail=said, reference=reference if message.is_about_incident else None)

    async def _call(self, message: OutboundMessage, method: str, body: bytes) -> Result:
        token = message.keys.key or ""
        url = f"{message.url.rstrip('/')}/bot{token}/{method}"
        result = await self._sender.send(Request(url, message.keys.headers, body))
        return replace(result, detail=result.detail.replace(token, "***") if token else result.detail)

    async def close(self) -> None:
        await self._sender.close()
