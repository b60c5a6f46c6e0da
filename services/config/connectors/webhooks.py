"""What the connectors are told that take posts in our own shape, signed or as CloudEvents."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.config.connectors.called import CalledSection
from services.config.connectors.mapped import Expression, Mapping
from services.config.connectors.signing import BearerToken, Signing, StandardSigned


class CloudEventsSection(CalledSection):
    """CloudEvents 1.0 over HTTP, structured, binary or in batches, whose data is a post as `POST /v1/posts` takes it."""

    kind: Literal["cloudevents"]
    signing: Signing = Field(BearerToken(scheme="bearer"), description="how the sender proves who it is")


class StandardWebhooksSection(CalledSection):
    """Bodies of Standard Webhooks (`type`, `timestamp`, `data`), whose data is a post as `POST /v1/posts` takes it."""

    kind: Literal["standard_webhooks"]
    signing: Signing = Field(StandardSigned(scheme="standard_webhooks"), description="how the sender proves who it is")


class WebhookSection(CalledSection):
    """Any webhook with JSON, whose fields are found by JMESPath."""

    kind: Literal["webhook"]
    signing: Signing = Field(BearerToken(scheme="bearer"), description="how the sender proves who it is")
    only: Expression | None = Field(
        None,
        description="a JMESPath that must be true of the body, such as `event == 'comment.created'`; other calls are "
        "answered, counted and not stored",
    )
    mapping: Mapping = Field(Mapping(), description="fields of the body, where they are not those of `POST /v1/posts`")
