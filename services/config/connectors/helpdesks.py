"""What the connectors to help desks are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.config.connectors.called import CalledSection
from services.config.rule import Handle

Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=200)]


class HelpdeskSection(CalledSection):
    """A ticket or conversation is a post, what follows in it replies; public answers of colleagues are the brand's own."""

    account: Handle | None = Field(
        None,
        description="the handle of the brand's account on this network, under which colleagues answer; by default the only one "
        "that the brands have there",
    )
    url: Address | None = Field(None, description="where colleagues open the help desk, for links to its tickets")
    tolerance_seconds: Annotated[float, Field(ge=60, le=24 * 3600)] = Field(
        300, description="for how long a signature counts"
    )


class ZendeskSection(HelpdeskSection):
    """Secret: `SIGNING_SECRET`, which Zendesk shows for the webhook."""

    kind: Literal["zendesk"]


class ChatwootSection(HelpdeskSection):
    """Secret: `SIGNING_SECRET`, with which newer versions sign; otherwise `TOKEN`, which stands in the address (`?token=`)."""

    kind: Literal["chatwoot"]
