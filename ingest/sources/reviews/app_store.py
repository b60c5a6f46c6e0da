"""Hears the reviews of apps in the App Store, with a key of App Store Connect.

A review keeps its date when it is edited, and appears hours after it: each walk goes over two weeks. The address of the next
page comes from the network; of it only the cursor is taken, so that our token goes nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from ingest.sources.base import SourceContext
from ingest.sources.polled.calls import Caller, Params, decoded
from ingest.sources.polled.items import page_of
from ingest.sources.polled.lists import Listed, Page
from ingest.sources.polled.source import PolledSource
from ingest.sources.polled.tokens import SigningKey, Token, TokenHeaders, lifetime, secret_of
from ingest.sources.reviews.mapping import ReviewMapping, account_of, of_apple
from ingest.sources.reviews.shapes import ApplePage, AppleResource
from services.base.errors import ConfigError
from services.config.connectors.polled import AppStoreSection

API: Final = "https://api.appstoreconnect.apple.com"
AUDIENCE: Final = "appstoreconnect-v1"
TOKEN_LASTS: Final = timedelta(minutes=15)
"""Apple takes none that lasts longer than 20."""
PER_PAGE: Final = 200
MOST_PAGES: Final = 10
OVERLAP: Final = timedelta(days=14)


def build(context: SourceContext) -> PolledSource:
    """Raises `ConfigError` if a secret is missing, or no key."""
    options = context.options
    if not isinstance(options, AppStoreSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `app_store`")
    key = SigningKey(secret_of(context, "private_key"), "PRIVATE_KEY")
    key_id, issuer = secret_of(context, "key_id"), secret_of(context, "issuer_id")

    async def ask() -> Token:
        claims = {"iss": issuer, "aud": AUDIENCE, **lifetime(context.clock, TOKEN_LASTS)}
        return Token(key.token(claims, key_id), TOKEN_LASTS)

    caller = Caller(context, "App Store Connect", options.api or API, TokenHeaders(context.clock, ask))
    lists = [AppleList(caller, _mapping(context, app), f"app {app}", app) for app in options.apps]
    return PolledSource(context, caller, lists, options.every_seconds)


@dataclass(slots=True)
class AppleList:
    """The reviews of an app, the newest first."""

    caller: Caller
    mapping: ReviewMapping
    name: str
    app: str
    every: timedelta | None = None
    overlap: timedelta = OVERLAP
    most_pages: int = MOST_PAGES
    shows_at_most: int | None = None
    reaches_back: timedelta | None = None

    async def page(self, token: str | None) -> Page | None:
        more: Params = {} if token is None else {"cursor": token}
        params: Params = {"sort": "-createdDate", "limit": PER_PAGE, "include": "response", **more}
        body = await self.caller.get(f"/v1/apps/{self.app}/customerReviews", params, conditional=token is None)
        if body is None:
            return None
        page = await decoded(body, ApplePage, self.caller.name)
        answers = _by_id(page.included or ())
        return page_of(page.data, AppleResource, partial(self._entries, answers), _cursor(page.links.next))

    def _entries(self, answers: Mapping[str, AppleResource], review: AppleResource) -> Sequence[Listed]:
        return self.mapping.entries(of_apple(review, answers)) if review.type == "customerReviews" else ()


def _by_id(included: Sequence[msgspec.Raw]) -> dict[str, AppleResource]:
    found: dict[str, AppleResource] = {}
    for part in included:
        try:
            one = msgspec.json.decode(part, type=AppleResource)
        except msgspec.DecodeError:
            continue
        found[one.id] = one
    return found


def _cursor(following: str | None) -> str | None:
    return next(iter(parse_qs(urlsplit(following).query).get("cursor", [])), None) if following else None


def _mapping(context: SourceContext, app: str) -> ReviewMapping:
    brands = tuple(context.brands)
    account = account_of(brands, context.network, app)
    page = f"https://apps.apple.com/app/id{app}?see-all=reviews"
    return ReviewMapping(context.network, tuple(brand.id for brand in brands), account, lambda _: page)
