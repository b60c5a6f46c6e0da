"""A webhook of any shape, whose fields the configuration finds by JMESPath; and its connector. The reading is pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jmespath

from ingest.sources.base import Received, SourceContext
from ingest.sources.hooks.called import Called
from ingest.sources.hooks.items import Item, LeftOut, Understood, each, identifier, moment
from ingest.sources.hooks.reading import bounded, read
from ingest.sources.webhooks.own_shape import check
from ingest.sources.webhooks.signing import signature_of
from services.base.errors import ConfigError
from services.config.connectors.mapped import Mapping
from services.config.connectors.webhooks import WebhookSection
from services.contracts.post import PostKind


@dataclass(frozen=True, slots=True)
class MappedReading:
    """Reads bodies as the configuration says. An item that names no network is of the connector's."""

    network: str
    mapping: Mapping
    only: str | None = None

    def __call__(self, request: Received, now: datetime) -> Understood:
        """Raises `ValueError` if the body cannot be read, or none of its items is a post."""
        body = read(request.body, object)
        found = Understood()
        if self.only is not None and not _holds(_found(self.only, body)):
            found.leave_out(LeftOut.CONDITION)
            return found
        parts = body if self.mapping.items is None else _found(self.mapping.items, body)
        listed = parts if isinstance(parts, list) else [] if parts is None else [parts]
        return each(bounded(listed), lambda part, found: self._take(part, now, found))

    def _take(self, part: Any, now: datetime, found: Understood) -> None:
        fields = self.mapping.fields
        item: Item = dict(part) if not fields and isinstance(part, dict) else {}
        if not fields and not item:
            raise ValueError("an item is not a post: expected an object")
        for name, expression in fields.items():
            _put(item, name, _written(name, _found(expression, part), now))
        for name, value in self.mapping.always.items():
            _put(item, name, value)
        item = {"network": self.network, "kind": PostKind.ORIGINAL.value, **item}
        check([item])
        found.items.append(item)


def _found(expression: str, value: Any) -> Any:
    """What stands there. Raises `ValueError` where a function is given what it cannot take; the reason that the library gives
    would show the value, which may be private."""
    try:
        return jmespath.search(expression, value)
    except jmespath.exceptions.JMESPathError:
        raise ValueError(f"`{expression}` cannot be applied to what the body holds there") from None


def _holds(value: Any) -> bool:
    """Whether a condition holds, as JMESPath counts truth: nothing, empty and `false` do not, 0 does."""
    return value not in (None, False, "", [], {}) or (value == 0 and value is not False)


def _written(name: str, value: Any, now: datetime) -> Any:
    """A value as items write it: senders write ids as numbers, and times in many ways."""
    if name.endswith(("_id", ".id")):
        return identifier(value)
    return moment(value, now) if name.endswith("_at") else value


def _put(item: Item, name: str, value: Any) -> None:
    if value is None:
        return
    first, _, second = name.partition(".")
    if second:
        item.setdefault(first, {})[second] = value
    else:
        item[first] = value


def build(context: SourceContext) -> Called:
    """Raises `ConfigError` if the secret is missing."""
    options = context.options
    if not isinstance(options, WebhookSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `webhook`")
    return Called(
        context.clock,
        signature_of(context, options.signing),
        MappedReading(context.network, options.mapping, options.only),
        silence_seconds=options.silence_seconds,
    )
