"""The interface behind every kind of endpoint: an outlet takes a message and makes one attempt to deliver it.

The body is always our own message, the same for every kind; the outlet puts it into its receiver's form. So redactions,
the terms of networks and the words of messages each have one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from alerter.notify.attempt import Result


class Kind(StrEnum):
    WEBHOOK = "webhook"
    """Our own messages, signed as Standard Webhooks."""
    PAGERDUTY = "pagerduty"
    """PagerDuty's Events API v2; acknowledgements come back."""
    ALERTMANAGER = "alertmanager"
    """Prometheus' Alertmanager: alerts are pushed to it, again and again while they fire."""
    ALERTMANAGER_WEBHOOK = "alertmanager_webhook"
    """What Alertmanager itself posts to webhooks (version 4), which many tools read."""
    SLACK = "slack"
    TEAMS = "teams"
    TELEGRAM = "telegram"
    """Telegram's Bot API: buttons that act, and a message that changes once somebody has it."""
    NTFY = "ntfy"
    """A topic of an ntfy server: push messages with a button that acts."""
    APPRISE = "apprise"
    """E-mail, text messages and a hundred others, by a URL of the `apprise` library."""
    HTTP = "http"
    """Tickets in a help desk, a CRM or an incident tool, by templates."""


PAGING: Final = frozenset({Kind.PAGERDUTY, Kind.ALERTMANAGER, Kind.ALERTMANAGER_WEBHOOK, Kind.HTTP})
"""Kinds of endpoints that page whatever they are sent, and go on until they are told that it is over. Some systems with
tickets do."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets that we share with an endpoint. They are never shown."""

    signing: tuple[str, ...] = field(default=(), repr=False)
    """The secrets that sign now, the newest first."""
    key: str | None = field(default=None, repr=False)
    """The receiver knows us by it: a routing key, a token."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with each request, as the endpoint was set up: an authorization, say."""
    hears: bool = False
    """Whether what people do there comes back to us, because the endpoint has an inbound secret."""


@dataclass(frozen=True, slots=True)
class KnownTicket:
    """What is known of the ticket about one thing at one endpoint, when an attempt begins."""

    subject: str
    """The incident, or else the delivery."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What was kept of answers, its id among it; empty: no id is known."""
    said: str = ""
    """The last operation that arrived, such as `create`; empty: none."""
    asked_at: datetime | None = None
    """When it was last asked for, in real time, if nobody knows whether that succeeded."""
    asked_seconds: float = 0.0
    """How long ago that was when this attempt began."""
    asked_sequence: int | None = None
    """The state of the incident that the request told, if that is known."""
    made: bool = False
    """It was asked for and granted, but the answer held no id."""


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """What one attempt delivers, and where to."""

    delivery: str
    """The `webhook-id`: the same in every attempt."""
    endpoint: str
    kind: Kind
    type: str
    """The type of the message: `incident.opened`, `endpoint.test` and so on."""
    url: str = field(repr=False)
    keys: Keys
    body: bytes = field(repr=False)
    made: datetime
    """When the delivery was made, in real time."""
    options: Mapping[str, Any] = field(default_factory=dict)
    ticket: KnownTicket | None = None
    """For endpoints that keep tickets."""
    earlier: str | None = None
    """What the receiver called the newest message about this incident that it got before, where messages can be changed."""

    @property
    def is_about_incident(self) -> bool:
        return self.type.startswith("incident.")


class Outlet(Protocol):
    async def deliver(self, message: OutboundMessage) -> Result:
        """Make one attempt. Never raises because of what the receiver does."""

    async def close(self) -> None:
        """Close connections and processes. May be called twice."""
