"""What a connector to a server with Mastodon's API is told: Mastodon, GoToSocial, Pleroma, Akkoma, Pixelfed and others."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.config.connectors.base import ConnectorSection

ServerUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+$", max_length=300)]
Tag = Annotated[str, StringConstraints(pattern=r"^[^\s#/?&]+$", max_length=100)]


class Hears(StrEnum):
    """Which public posts of a server are read for names."""

    PUBLIC = "public"
    LOCAL = "local"
    NOTHING = "nothing"


class MastodonConnector(ConnectorSection):
    """The secret `token` is that of the brand's account on this server, with the scope `read` (and `write:statuses` to answer
    from here)."""

    kind: Literal["mastodon"]
    server: ServerUrl = Field(
        description="the server on which the brand has its account, such as https://mastodon.social"
    )
    hears: Hears = Field(
        Hears.PUBLIC,
        description="`public`: all public posts that this server knows, its own and those of other servers; `local`: only its "
        "own; `nothing`: only hashtags and what is said to the brand's account",
    )
    hashtags: tuple[Tag, ...] = Field(
        (), max_length=20, description="hashtags that are read besides those of the brands, without #"
    )
    poll_seconds: Annotated[float, Field(ge=10, le=3600)] = Field(
        60, description="how often hashtags and notifications are asked for, because streams fall silent without a word"
    )
    silence_seconds: Annotated[float, Field(ge=30, le=86_400)] = Field(
        900, description="how long nothing may be heard before the server is asked whether there was something to hear"
    )
    private_messages: bool = Field(False, description="hear messages to the brand's account that are not public")
