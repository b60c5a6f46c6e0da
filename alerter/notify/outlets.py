"""Every kind of endpoint has an outlet here; whoever delivers knows only this door."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alerter.notify import signing
from alerter.notify.attempt import Result
from alerter.notify.outlet import Kind, Letter, Outlet
from alerter.notify.post import Post, Request

Render = Callable[[Letter], Request]


class Outlets:
    """The outlets of one process. `wall` gives real seconds since 1970: receivers compare it with their own clock."""

    def __init__(self, post: Post, wall: Callable[[], float]) -> None:
        self.post = post
        self._of: Mapping[Kind, Outlet] = {Kind.WEBHOOK: Posted(post, lambda letter: signed(letter, int(wall())))}

    async def deliver(self, letter: Letter) -> Result:
        return await self._of[letter.kind].deliver(letter)

    async def close(self) -> None:
        for outlet in self._of.values():
            await outlet.close()


class Posted:
    """An outlet that is one POST."""

    def __init__(self, post: Post, render: Render) -> None:
        self._post = post
        self._render = render

    async def deliver(self, letter: Letter) -> Result:
        return await self._post.post(self._render(letter))

    async def close(self) -> None:
        await self._post.close()


def signed(letter: Letter, timestamp: int) -> Request:
    """Our own message by Standard Webhooks; the timestamp is that of the attempt."""
    headers = signing.headers(letter.keys.signing, letter.delivery, timestamp, letter.body)
    return Request(letter.url, headers, letter.body)
