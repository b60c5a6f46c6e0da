"""A webhook of any shape, whose fields the configuration finds by JMESPath; and its connector. The reading is pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.sources.base import Received, SourceContext
from ingest.sources.hooks.called import CalledSource
from ingest.sources.hooks.items import LeftOut, Understood, each
from ingest.sources.hooks.reading import bounded, read
from ingest.sources.mapping import found_at, item_of, parts_of
from ingest.sources.webhooks.own_shape import check
from ingest.sources.webhooks.signing import signature_of
from services.base.errors import ConfigError
from services.config.connectors.mapped import Mapping
from services.config.connectors.webhooks import WebhookSection


@dataclass(frozen=True, slots=True)
class MappedReading:
    """Reads bodies as the configuration says. An item that names no network is of the connector's."""

    network: str
    mapping: Mapping
    only: str | None = None

    def __call__(self, request: Received, now: datetime) -> Understood:  # noqa: ARG002
        """Raises `ValueError` if the body cannot be read, or none of its items is a post."""
        body = read(request.body, object)
        found = Understood()
        if self.only is not None and not _holds(found_at(self.only, body)):
            found.leave_out(LeftOut.CONDITION)
            return found
        parts = [*parts_of(body, self.mapping)]
        return each(bounded(parts), self._take)

    def _take(self, part: Any, found: Understood) -> None:
        item = item_of(part, self.mapping, self.network)
        check([item])
        found.items.append(item)


def _holds(value: Any) -> bool:
    """Whether a condition holds, as JMESPath counts truth: nothing, empty and `false` do not, 0 does."""
    return value is not None and value is not False and value not in ("", [], {})


def build(context: SourceContext) -> CalledSource:
    """Raises `ConfigError` if the secret is missing."""
    options = context.options
    if not isinstance(options, WebhookSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `webhook`")
    return CalledSource(
        context.clock,
        signature_of(context, options.signing),
        MappedReading(context.network, options.mapping, options.only),
        silence_seconds=options.silence_seconds,
    )
