"""Hears the reviews of places at Google (Maps, search), for an account that manages them.

The list is ordered by the last change, so an edit and an answer bring a review to its top again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ingest.sources.base import SourceContext
from ingest.sources.polled.calls import Caller, Params, decoded
from ingest.sources.polled.items import page_of
from ingest.sources.polled.lists import Listed, Page
from ingest.sources.polled.source import PolledSource
from ingest.sources.polled.tokens import Token, TokenHeaders, granted, secret_of
from ingest.sources.reviews.mapping import ReviewMapping, account_of, of_place
from ingest.sources.reviews.shapes import PlacePage, PlaceReview
from services.base.errors import ConfigError
from services.config.connectors.polled import GoogleBusinessSection

API: Final = "https://mybusiness.googleapis.com"
LOGIN: Final = "https://oauth2.googleapis.com/token"
PER_PAGE: Final = 50
MOST_PAGES: Final = 20
OVERLAP: Final = timedelta(hours=6)


def build(context: SourceContext) -> PolledSource:
    """Raises `ConfigError` if a secret is missing."""
    options = context.options
    if not isinstance(options, GoogleBusinessSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `google_business`")
    form = {"grant_type": "refresh_token"}
    form |= {name: secret_of(context, name) for name in ("client_id", "client_secret", "refresh_token")}

    async def ask() -> Token:
        return await granted(context, "Google", options.login or LOGIN, form)

    caller = Caller(context, "Google Business", options.api or API, TokenHeaders(context.clock, ask))
    brands = tuple(context.brands)
    lists = []
    for place in options.locations:
        account = account_of(brands, context.network, place)
        mapping = ReviewMapping(context.network, tuple(brand.id for brand in brands), account)
        lists.append(PlaceList(caller, mapping, f"place {place.rpartition('/')[2]}", place))
    return PolledSource(context, caller, lists, options.every_seconds)


@dataclass(slots=True)
class PlaceList:
    """The reviews of a place, the one that was changed last first."""

    caller: Caller
    mapping: ReviewMapping
    name: str
    place: str
    every: timedelta | None = None
    overlap: timedelta = OVERLAP
    most_pages: int = MOST_PAGES
    shows_at_most: int | None = None
    reaches_back: timedelta | None = None

    async def page(self, token: str | None) -> Page | None:
        params: Params = {
            "pageSize": PER_PAGE,
            "orderBy": "updateTime desc",
            **({} if token is None else {"pageToken": token}),
        }
        body = await self.caller.get(f"/v4/{self.place}/reviews", params, conditional=token is None)
        if body is None:
            return None
        page = await decoded(body, PlacePage, self.caller.name)
        return page_of(page.reviews or (), PlaceReview, self._entries, page.next_page_token)

    def _entries(self, review: PlaceReview) -> Sequence[Listed]:
        return self.mapping.entries(of_place(review))
