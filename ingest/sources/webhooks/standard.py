"""Bodies of Standard Webhooks, and their connector. The reading is pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from ingest.sources.base import Received, SourceContext
from ingest.sources.hooks.called import CalledSource
from ingest.sources.hooks.items import Understood, moment
from ingest.sources.hooks.reading import bounded, read
from ingest.sources.webhooks.own_shape import OwnShape
from ingest.sources.webhooks.signing import signature_of
from services.base.errors import ConfigError
from services.config.connectors.webhooks import StandardWebhooksSection


class StandardEnvelope(msgspec.Struct):
    """The body that Standard Webhooks recommends."""

    type: str
    data: Any
    timestamp: Any = None


@dataclass(frozen=True, slots=True)
class StandardReading:
    shape: OwnShape

    def __call__(self, request: Received, now: datetime) -> Understood:
        """Raises `ValueError` if the body cannot be read."""
        envelope = read(request.body, StandardEnvelope)
        if isinstance(envelope.data, list):
            bounded(envelope.data)
        found = Understood()
        self.shape.take(envelope.type, envelope.data, moment(envelope.timestamp, now), found)
        return found


def build(context: SourceContext) -> CalledSource:
    """Raises `ConfigError` if the secret is missing."""
    options = context.options
    if not isinstance(options, StandardWebhooksSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `standard_webhooks`")
    return CalledSource(
        context.clock,
        signature_of(context, options.signing),
        StandardReading(OwnShape(context.network)),
        silence_seconds=options.silence_seconds,
    )
