"""What the connector to TikTok is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.config.connectors.called import CalledSection
from services.config.rule import Handle


class TikTokSection(CalledSection):
    """Hears comments on one's own videos and mentions of one's account. Secret: `CLIENT_SECRET`, that of the app."""

    kind: Literal["tiktok"]
    accounts: dict[str, Handle] = Field(
        {},
        max_length=1000,
        description="open ids and unique identifiers of your own accounts, each with the handle by which a brand's `accounts` "
        "name it",
    )
    tolerance_seconds: Annotated[float, Field(ge=60, le=7 * 24 * 3600)] = Field(
        73 * 3600,
        description="for how long a signature counts; by default a little longer than TikTok tries to deliver",
    )
