"""What is said of a network that is asked every so often, because it calls nobody."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.config.connectors.base import ConnectorSection
from services.config.section import Slug, Words

Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$", max_length=200)]
"""Of an API, without a slash at its end."""
Own = Annotated[tuple[Slug, ...], Field(min_length=1)]


class PolledSection(ConnectorSection):
    """Asks lists of what is new every `every_seconds`, more rarely where a budget or quota would not last."""

    every_seconds: Annotated[float, Field(ge=5, le=86_400)] = 60
    api: Address | None = Field(None, description="another address of the network's API, for a proxy or a test")
    login: Address | None = Field(None, description="another address that hands out its tokens")


class RedditSection(PolledSection):
    """Secrets: `CLIENT_ID` and `CLIENT_SECRET` of the app, `USER_AGENT` as Reddit's rules want it."""

    kind: Literal["reddit"]
    own: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{2,21}$")], ...] = Field(
        (), max_length=20, description="subreddits about the brands: all that is said there is heard"
    )
    subreddits: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{2,21}$")], ...] = Field(
        (), max_length=20, description="subreddits in which only what names a brand is heard"
    )
    search: tuple[Words, ...] = Field(
        (), max_length=10, description="words for which all of Reddit is searched; finds submissions, no comments"
    )
    dollars_per_call: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="what a call costs by your contract with Reddit"
    )


class YouTubeSection(PolledSection):
    """Secret: `API_KEY` of a project in which the YouTube Data API v3 is enabled."""

    kind: Literal["youtube"]
    channels: tuple[Annotated[str, StringConstraints(pattern=r"^UC[A-Za-z0-9_-]{22}$")], ...] = Field(
        (), max_length=20, description="ids of the brands' own channels: every comment there is heard"
    )
    videos: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{11}$")], ...] = Field(
        (), max_length=30, description="ids of further videos whose comments are heard"
    )
    search: tuple[Words, ...] = Field(
        (), max_length=5, description="words for which videos are searched; one search costs 100 units"
    )
    search_every_seconds: Annotated[float, Field(ge=900, le=86_400)] = 7200
    units_per_day: Annotated[int, Field(ge=100, le=10_000_000)] = Field(
        10_000, description="the project's quota; with less, this asks more rarely"
    )


class GooglePlaySection(PolledSection):
    """Secret: `SERVICE_ACCOUNT`, the JSON key of a service account that may see reviews."""

    kind: Literal["google_play"]
    brands: Own = Field(description="ids of the brands that the apps stand for; each review is about them")
    apps: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z][\w]*(\.[A-Za-z][\w]*)+$", max_length=150)], ...],
        Field(min_length=1, max_length=10),
    ] = Field(description="package names")
    every_seconds: Annotated[float, Field(ge=60, le=86_400)] = 300


class AppStoreSection(PolledSection):
    """Secrets: `KEY_ID`, `ISSUER_ID` and `PRIVATE_KEY` (the `.p8` file) of an App Store Connect key."""

    kind: Literal["app_store"]
    brands: Own = Field(description="ids of the brands that the apps stand for; each review is about them")
    apps: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[0-9]{5,15}$")], ...], Field(min_length=1, max_length=10)
    ] = Field(description="the apps' Apple ids, numbers")
    every_seconds: Annotated[float, Field(ge=60, le=86_400)] = 600


class GoogleBusinessSection(PolledSection):
    """Secrets: `CLIENT_ID`, `CLIENT_SECRET` and `REFRESH_TOKEN` of an account that manages the places."""

    kind: Literal["google_business"]
    brands: Own = Field(description="ids of the brands that the places stand for; each review is about them")
    locations: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^accounts/[0-9]{1,30}/locations/[0-9]{1,30}$")], ...],
        Field(min_length=1, max_length=50),
    ] = Field(description="names of the places, as the API gives them")
    every_seconds: Annotated[float, Field(ge=60, le=86_400)] = 300
