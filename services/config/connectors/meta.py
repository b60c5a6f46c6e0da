"""What the connector to Meta is told: which kind of account it is called about, and whose these are."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from services.config.connectors.called import CalledSection
from services.config.rule import Handle


class MetaObject(StrEnum):
    """What a webhook of Meta is about: each has a subscription of its own."""

    PAGE = "page"
    INSTAGRAM = "instagram"
    THREADS = "threads"


class MetaSection(CalledSection):
    """Hears the comments, posts, ratings and mentions of one's own accounts. Secrets: `APP_SECRET`, which signs what comes, and
    `VERIFY_TOKEN`, which is typed into Meta's page when the address is entered."""

    kind: Literal["meta"]
    object: MetaObject
    accounts: dict[str, Handle] = Field(
        {},
        max_length=1000,
        description="the network's ids of your own pages or accounts, each with the handle that a brand's `accounts` name",
    )
