"""What stands behind every kind of endpoint: an outlet takes a message and makes one attempt to bring it.

The message's body is always our own message, the same for every kind; an outlet says it in its receiver's language. So a
redaction, a source's terms and the words of a message each have one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from alerter.notify.attempt import Result


class Kind(StrEnum):
    WEBHOOK = "webhook"
    """Our own signed messages (Standard Webhooks)."""
    PAGERDUTY = "pagerduty"
    """Events v2, and its acknowledgements back."""
    ALERTMANAGER = "alertmanager"
    """Prometheus' Alertmanager: alerts pushed to it, again and again while they fire."""
    ALERTMANAGER_WEBHOOK = "alertmanager_webhook"
    """What Alertmanager posts to webhooks, version 4: many tools read it."""
    SLACK = "slack"
    TEAMS = "teams"
    APPRISE = "apprise"
    """E-mail, text messages and a hundred others, by a URL of the `apprise` library."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What an endpoint's owner and we share. Never shown."""

    signing: tuple[str, ...] = field(default=(), repr=False)
    """Those that sign now, the newest first."""
    key: str | None = field(default=None, repr=False)
    """What the receiver knows us by: a routing key, a token."""


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One attempt's worth of work."""

    delivery: str
    """The `webhook-id`: the same in every attempt."""
    endpoint: str
    kind: Kind
    type: str
    """Of the message: `incident.opened`, `endpoint.test` and so on."""
    url: str = field(repr=False)
    keys: Keys
    body: bytes = field(repr=False)
    made: datetime
    """When the delivery was made, in real time."""
    options: Mapping[str, Any] = field(default_factory=dict)
    overtaken: bool = False
    """Its receiver keeps a state, and has been told a newer one."""

    @property
    def is_about_incident(self) -> bool:
        return self.type.startswith("incident.")


class Outlet(Protocol):
    async def deliver(self, message: OutboundMessage) -> Result:
        """Make one attempt. Never raises for what the other side does."""

    async def close(self) -> None:
        """Idempotent."""
