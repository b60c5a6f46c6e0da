"""CloudEvents 1.0 over HTTP: one in the body, one in headers and body, or a batch; and their connector. The reading is pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from ingest.sources.base import Received, SourceContext
from ingest.sources.hooks.called import CalledSource
from ingest.sources.hooks.items import Understood, each, moment
from ingest.sources.hooks.reading import bounded, read
from ingest.sources.webhooks.own_shape import OwnShape
from ingest.sources.webhooks.signing import signature_of
from services.base.errors import ConfigError
from services.config.connectors.webhooks import CloudEventsSection

ONE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"


class CloudEvent(msgspec.Struct):
    """An event in JSON. Attributes that are not named here are extensions, and read over."""

    specversion: str
    type: str
    id: str
    source: str
    time: Any = None
    data: Any = None
    data_base64: str | None = None


@dataclass(frozen=True, slots=True)
class CloudEventsReading:
    shape: OwnShape

    def __call__(self, request: Received, now: datetime) -> Understood:
        """Raises `ValueError` if the request holds no event, or none that can be read."""
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media == BATCH:
            events = bounded(read(request.body, list[msgspec.Raw]))
            return each(events, lambda raw, found: self._take(read(raw, CloudEvent, "an event"), now, found))
        if media == ONE:
            event = read(request.body, CloudEvent)
        elif "ce-specversion" in request.headers:
            event = _from_headers(request)
        else:
            raise ValueError(
                f"no event: expected {ONE}, {BATCH}, or the headers of binary mode (`ce-specversion`, ...)"
            )
        found = Understood()
        self._take(event, now, found)
        return found

    def _take(self, event: CloudEvent, now: datetime, found: Understood) -> None:
        if not event.specversion.startswith("1."):
            raise ValueError("`specversion` is not 1.0")
        data = event.data
        if event.data_base64 is not None:
            data = read(_decoded(event.data_base64), object, "`data_base64`")
        self.shape.take(event.type, data, moment(event.time, now), found)


def _from_headers(request: Received) -> CloudEvent:
    known = {name: unquote(request.headers.get(f"ce-{name}", "")) for name in ("specversion", "type", "id", "source")}
    missing = [name for name, value in known.items() if not value]
    if missing:
        raise ValueError(f"the header `ce-{missing[0]}` is missing")
    time = unquote(request.headers.get("ce-time", "")) or None
    return CloudEvent(**known, time=time, data=read(request.body, object))


def _decoded(written: str) -> bytes:
    try:
        return base64.b64decode(written, validate=True)
    except ValueError:
        raise ValueError("`data_base64` is not base64") from None


def build(context: SourceContext) -> CalledSource:
    """Raises `ConfigError` if the secret is missing."""
    options = context.options
    if not isinstance(options, CloudEventsSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `cloudevents`")
    return CalledSource(
        context.clock,
        signature_of(context, options.signing),
        CloudEventsReading(OwnShape(context.network)),
        silence_seconds=options.silence_seconds,
    )
