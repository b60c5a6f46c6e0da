"""What the two connectors to X are told: the stream of what names a brand, and the webhooks of the brand's own account."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.config.connectors.base import ConnectorSection

Rule = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f]+$")]
ApiUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+$", max_length=300)]


class XSection(ConnectorSection):
    """Hears what names the brands, by rules that it makes and keeps at X. Secret: `TOKEN`, the bearer token of an app."""

    kind: Literal["x"]
    rules: tuple[Rule, ...] = Field(
        (),
        max_length=200,
        description="further rules in X's language of queries, besides those of the brands' names, handles and hashtags",
    )
    reposts: bool = Field(True, description="hear each repost, which costs as much as a post; counters are had without")
    count_authors: bool = Field(
        True,
        description="count the author of a post as a user that was read, once a day. X does not say whether it bills them; "
        "with `true` the budget holds either way",
    )
    quiet_seconds: Annotated[float, Field(ge=60, le=86_400)] = Field(
        900, description="when the stream brought no post for so long, search is asked whether there was one"
    )
    api: ApiUrl = "https://api.x.com"


class XActivitySection(ConnectorSection):
    """Is called by X at `/v1/sources/NAME` with what happens to the brand's own account: mentions, replies, quotes, reposts,
    and deletions of its posts. Secret: `CONSUMER_SECRET`, the API secret of the app."""

    kind: Literal["x_activity"]
