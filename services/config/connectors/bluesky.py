"""What a Bluesky connector is told. Nothing is secret, nothing costs money: Jetstream and the AppView are open to all."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.config.connectors.base import ConnectorSection

StreamUrl = Annotated[str, StringConstraints(pattern=r"^wss?://[^\s/?#@]+$", max_length=300)]
ServerUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+$", max_length=300)]
Did = Annotated[str, StringConstraints(pattern=r"^did:[a-z]+:[A-Za-z0-9._:%-]+$", max_length=200)]


class BlueskySection(ConnectorSection):
    """Everything that is said on Bluesky comes by Jetstream; what names a brand, or hangs on what does, is passed on."""

    kind: Literal["bluesky"]
    instances: tuple[StreamUrl, ...] = Field(
        (
            "wss://jetstream.us-east.bsky.network",
            "wss://jetstream.us-west.bsky.network",
            "wss://jetstream2.us-east.bsky.network",
            "wss://jetstream2.us-west.bsky.network",
        ),
        min_length=1,
        max_length=20,
        description="servers of Jetstream, the preferred one first; when one is away the next one is asked",
    )
    appview: ServerUrl | None = Field(
        "https://public.api.bsky.app",
        description="the server that is asked for handles, followers, counters and for posts of a gap; `null`: none is. The "
        "stream goes on without it",
    )
    dids: dict[str, Did] = Field(
        {},
        description="the permanent ids of the brands' own accounts, by handle; those that are missing are asked of the AppView",
    )
    rewind_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        60,
        description="how far before the cursor another server is asked to begin: each hears the network in its own time",
    )
    remember_posts: Annotated[int, Field(ge=1000, le=5_000_000)] = Field(
        200_000,
        description="how many posts are remembered, so that what hangs on them is passed on; the oldest go first",
    )
    remember_hours: Annotated[float, Field(ge=0, le=168)] = Field(
        24,
        description="how far back the AppView is searched after a restart for posts that name a brand, to remember them",
    )
    count_likes: bool = Field(True, description="count the likes of remembered posts from the stream")
    silence_seconds: Annotated[float, Field(ge=5, le=86_400)] = Field(
        30,
        description="how long nothing at all may come before the connection is suspected; public servers are never quiet",
    )
