"""Turns events into bytes and back. What cannot be read raises `Unreadable`, with a reason that fits a metric label."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import pydantic_core
from pydantic import ValidationError

from services.contracts.base import Event, EventId
from services.contracts.envelope import BY_TYPE, EVENTS, Envelope

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {
    # Whoever needs to know where brands are named has to look for them again.
    ("post.observed", 1): lambda data: {**data, "mentions": None},
    # Nobody forwarded it.
    ("post.observed", 2): dict,
    # Nobody said whether it was edited.
    ("post.observed", 3): dict,
    # Nobody looked then whether a post was heard late, whether it was a copy, or whose author the network vouches for.
    ("post.negative", 1): dict,
    ("post.asked", 1): dict,
    # Nobody asked then whether the baseline was known; what was said stays as severe as it was.
    ("brand.surge", 1): dict,
    # Nobody knew whose author the network vouches for.
    ("cascade.forecast", 1): dict,
    # Every gap had an end, and no heartbeat promised the next one.
    ("source.coverage", 1): dict,
    # Nobody said whether a network was heard.
    ("incident.changed", 1): dict,
    # No incident had tickets, labels or notes.
    ("incident.changed", 2): dict,
}
"""(type, version) -> turns its data into that of version + 1."""

MAX_EVENT_BYTES: Final = 900_000
"""Kafka's default record limit is 1 MiB; headers, key and batch need room too."""
ID_PATTERN: Final = re.compile(r"[0-9a-f]{32}")
"""What `event_id` makes."""


class Unreadable(ValueError):
    """The record is no event of ours. `reason` is one word of a closed set."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


_HEAD: Final = re.compile(rb'(\{"type":"[a-z.]+","version":[0-9]+),"id":"([0-9a-f]{32})","data":')
"""How `encode` begins an envelope. What was written otherwise (by hand, by another language) is read the slow way."""
_BEGINNING: Final = '{"type":"%s","version":%d'
_VALIDATORS: Final = {
    (_BEGINNING % (event.TYPE, event.VERSION)).encode(): event.__pydantic_validator__ for event in EVENTS
}


def encode(event: Event, event_id: EventId) -> bytes:
    """Returns the event as it travels: one line of JSON."""
    body: bytes = event.__pydantic_serializer__.to_json(event, exclude_defaults=True)
    head = _BEGINNING % (event.TYPE, event.VERSION)
    return b'%s,"id":"%s","data":%s}' % (head.encode(), event_id.encode(), body)


def decode(value: bytes | None) -> Envelope:
    """Returns the event in `value`; an old version is brought up to the present one.

    Raises:
        Unreadable: `empty`, `garbage` (no JSON, no envelope), `unknown_type`, `unknown_version` or `invalid` (fields).
    """
    if value is None:
        raise Unreadable("empty", "a record without a value")
    # The envelope is recognised by its first bytes, so that the data is read in one pass straight into its event.
    head = _HEAD.match(value)
    if head is not None and (validator := _VALIDATORS.get(head[1])) is not None:
        try:
            return Envelope(EventId(head[2].decode()), validator.validate_json(value[head.end() : -1]))
        except ValidationError:
            pass  # the slow way says what is wrong
    return _decode_any(value)


def _decode_any(value: bytes) -> Envelope:
    try:
        wire = pydantic_core.from_json(value)
    except ValueError as error:
        raise Unreadable("garbage", str(error)) from error
    if not isinstance(wire, dict) or not {"type", "version", "id", "data"} <= wire.keys():
        raise Unreadable("garbage", "no envelope with type, version, id and data")
    kind, version, data = wire["type"], wire["version"], wire["data"]
    event = BY_TYPE.get(kind) if isinstance(kind, str) else None
    if event is None:
        raise Unreadable("unknown_type", f"{kind!r}")
    if type(version) is not int:
        raise Unreadable("unknown_version", f"{kind} version {str(version)[:40]!r}, not a whole number")
    while (upcast := UPCASTERS.get((kind, version))) is not None:
        try:
            data, version = upcast(data), version + 1
        except (KeyError, TypeError, ValueError) as error:
            raise Unreadable("invalid", f"{kind} version {version} cannot be brought up to date: {error!r}") from error
    if version != event.VERSION:
        raise Unreadable("unknown_version", f"{kind} version {version!r}, known up to {event.VERSION}")
    if not isinstance(wire["id"], str) or not ID_PATTERN.fullmatch(wire["id"]):
        raise Unreadable("invalid", "id: not 32 hexadecimal digits")
    try:
        return Envelope(EventId(wire["id"]), event.model_validate_json(pydantic_core.to_json(data)))
    except ValidationError as error:
        raise Unreadable("invalid", _first(error)) from error


def _first(error: ValidationError) -> str:
    """Returns the first thing that is wrong, and where; never the value, which may be private."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"
