"""Hears the reviews of apps at Google Play, with the key of a service account.

The network shows reviews with words that were written or changed within the last week; what was missed for longer is a gap.
200 calls an hour are free for each app.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from ingest.sources.base import SourceContext
from ingest.sources.polled.calls import Caller, Params, decoded
from ingest.sources.polled.items import page_of
from ingest.sources.polled.lists import Listed, Page
from ingest.sources.polled.source import PolledSource
from ingest.sources.polled.tokens import SigningKey, Token, TokenHeaders, granted, lifetime, secret_of
from ingest.sources.reviews.mapping import ReviewMapping, account_of, of_play
from ingest.sources.reviews.shapes import PlayPage, PlayReview
from services.base.errors import ConfigError
from services.config.connectors.polled import GooglePlaySection

API: Final = "https://androidpublisher.googleapis.com"
LOGIN: Final = "https://oauth2.googleapis.com/token"
SCOPE: Final = "https://www.googleapis.com/auth/androidpublisher"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PER_PAGE: Final = 100
MOST_PAGES: Final = 15
"""With four rounds an hour at the most this stays below 200 calls, and a list that long holds 1,500 reviews."""
OVERLAP: Final = timedelta(hours=6)
SHOWN: Final = timedelta(days=7)


def build(context: SourceContext) -> PolledSource:
    """Raises `ConfigError` if the secret is missing, or no key of a service account."""
    options = context.options
    if not isinstance(options, GooglePlaySection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `google_play`")
    login = options.login or LOGIN
    try:
        account: dict[str, Any] = json.loads(secret_of(context, "service_account"))
        email, pem = str(account["client_email"]), str(account["private_key"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"the secret SERVICE_ACCOUNT of {options.name!r} is not the JSON key of a service account"
        ) from None
    key = SigningKey(pem, "`private_key` in SERVICE_ACCOUNT")

    async def ask() -> Token:
        claims = {"iss": email, "scope": SCOPE, "aud": login, **lifetime(context.clock, timedelta(hours=1))}
        return await granted(context, "Google", login, {"grant_type": GRANT, "assertion": key.token(claims)})

    caller = Caller(context, "Google Play", options.api or API, TokenHeaders(context.clock, ask))
    lists = [PlayList(caller, _mapping(context, app), f"app {app}", app) for app in options.apps]
    return PolledSource(context, caller, lists, options.every_seconds)


@dataclass(slots=True)
class PlayList:
    """The reviews of an app, the one that was changed last first."""

    caller: Caller
    mapping: ReviewMapping
    name: str
    app: str
    every: timedelta | None = None
    overlap: timedelta = OVERLAP
    most_pages: int = MOST_PAGES
    shows_at_most: int | None = None
    reaches_back: timedelta | None = SHOWN

    async def page(self, token: str | None) -> Page | None:
        path = f"/androidpublisher/v3/applications/{self.app}/reviews"
        params: Params = {"maxResults": PER_PAGE, **({} if token is None else {"token": token})}
        body = await self.caller.get(path, params, conditional=token is None)
        if body is None:
            return None
        page = await decoded(body, PlayPage, self.caller.name)
        following = page.token_pagination.next_page_token if page.token_pagination else None
        return page_of(page.reviews or (), PlayReview, self._entries, following)

    def _entries(self, review: PlayReview) -> Sequence[Listed]:
        said = of_play(review)
        return () if said is None else self.mapping.entries(said)


def _mapping(context: SourceContext, app: str) -> ReviewMapping:
    brands = tuple(context.brands)
    return ReviewMapping(
        context.network,
        tuple(brand.id for brand in brands),
        account_of(brands, context.network, app),
        lambda review: f"https://play.google.com/store/apps/details?id={app}&reviewId={review}",
    )
