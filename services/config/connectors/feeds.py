"""What a connector to feeds is told: RSS, Atom and JSON Feed, of news and review sites, blogs and forums."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.config.connectors.base import ConnectorSection
from services.config.section import Section, Slug

FeedUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+([/?][^\s#]*)?$", max_length=1000)]


class FeedAddress(Section):
    """One feed."""

    url: FeedUrl
    about: tuple[Slug, ...] = Field(
        (),
        description="ids of the brands that every entry is about, as on a review site. Without it only entries that name a "
        "brand are passed on",
    )


class FeedSection(ConnectorSection):
    """The secret `secret` (any long random text) is needed for `callback` alone."""

    kind: Literal["feed"]
    feeds: tuple[FeedAddress, ...] = Field(min_length=1, max_length=100)
    every_seconds: Annotated[float, Field(ge=30, le=86_400)] = Field(
        180, description="how often a lively feed is asked for at most, unless it asks for longer"
    )
    at_most_seconds: Annotated[float, Field(ge=60, le=86_400)] = Field(
        1800, description="how often a quiet feed is asked for at least, also one that is pushed"
    )
    callback: FeedUrl | None = Field(
        None,
        description="where hubs reach this connector from outside, such as https://firebreak.example.com/v1/sources/NAME; "
        "feeds that name a hub are then pushed (WebSub)",
    )
