"""A site with an RSS feed of its newest hundred entries, which answers conditional questions, and a hub that pushes it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.base.clock import Clock
from tests.contract.sources.network import Deed, Fault
from tests.fake_http import FakeServer

SHOWN = 100


@dataclass
class Story:
    link: str
    title: str
    at: datetime
    guid: str
    text: str = "as we hear"


@dataclass
class FeedNetwork:
    """See `Network`. `hub` makes the feed name one; `asked` are the headers of each question."""

    name = "news"
    deeds = frozenset({Deed.MENTION})
    faults = frozenset({Fault.CUT, Fault.AWAY, Fault.REFUSAL, Fault.STORM, Fault.SKEW})
    keeps_seconds = float("inf")
    pace_seconds = 30.0
    secrets: Mapping[str, str] = field(default_factory=lambda: {"SECRET": "a long random text"})
    hub: bool = False
    stories: list[Story] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    subscriptions: list[dict[str, str]] = field(default_factory=list)
    answer: Response | None = None
    """Instead of the feed."""

    async def start(self, clock: Clock) -> None:
        self._clock = clock
        self._skew = timedelta(0)
        self.server = FakeServer(
            [Route("/feed.xml", self._feed), Route("/hub", self._hub, methods=["POST"]), Route("/moved", self._moved)]
        )
        await self.server.start()

    async def close(self) -> None:
        await self.server.close()

    @property
    def url(self) -> str:
        return f"{self.server.url}/feed.xml"

    def connector(self) -> dict[str, Any]:
        return {"kind": "feed", "feeds": [{"url": self.url}], "every_seconds": 30, "at_most_seconds": 60}

    async def write(self, text: str, deed: Deed = Deed.MENTION, about: str | None = None) -> str:
        assert (deed, about) == (Deed.MENTION, None)
        number = len(self.stories)
        at = self._clock.now() + self._skew
        self.stories.append(Story(f"https://news.example/{number}", f"{text} ({number})", at, f"guid-{number}"))
        return self.stories[-1].link

    async def play(self, fault: Fault) -> None:
        match fault:
            case Fault.CUT:
                self.server.cut()
            case Fault.AWAY:
                await self.server.away()
            case Fault.REFUSAL:
                self.server.refuse(403)
            case Fault.STORM:
                self.server.storm()
            case Fault.SKEW:
                self._skew = timedelta(hours=3)

    async def mend(self) -> None:
        self._skew, self.answer = timedelta(0), None
        self.server.mend()
        await self.server.away()
        await self.server.start()

    def document(self, stories: list[Story] | None = None) -> bytes:
        hub = f'<atom:link rel="hub" href="{self.server.url}/hub"/>' if self.hub else ""
        items = "".join(
            f'<item><title>{escape(one.title)}</title><link>{one.link}</link><guid isPermaLink="false">{one.guid}</guid>'
            f"<description>{escape(one.text)}</description><pubDate>{format_datetime(one.at)}</pubDate></item>"
            for one in reversed((self.stories if stories is None else stories)[-SHOWN:])
        )
        head = f'<atom:link rel="self" href="{self.url}"/>{hub}<title>News</title>'
        atom = "http://www.w3.org/2005/Atom"
        return f'<rss version="2.0" xmlns:atom="{atom}"><channel>{head}{items}</channel></rss>'.encode()

    def signed(self, body: bytes, subscription: Mapping[str, str]) -> dict[str, str]:
        digest = hmac.new(subscription["hub.secret"].encode(), body, hashlib.sha256).hexdigest()
        return {"x-hub-signature": f"sha256={digest}", "content-type": "application/rss+xml"}

    async def _feed(self, request: Request) -> Response:
        self.asked.append(dict(request.headers))
        if self.answer is not None:
            return self.answer
        body = self.document()
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return Response(body, media_type="application/rss+xml", headers={"etag": tag})

    async def _moved(self, _: Request) -> Response:
        return Response(status_code=301, headers={"location": "/feed.xml"})

    async def _hub(self, request: Request) -> Response:
        form = await request.form()
        self.subscriptions.append({name: str(value) for name, value in form.items()})
        return Response(status_code=202)
