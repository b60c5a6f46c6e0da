"""What comes back from a system with tickets: is it from there, which ticket is it about, and what was done. Pure.

Three things keep us from answering ourselves. What the recipe knows as our own doing is nothing; a comment that begins with our
mark is ours; and nobody is told of a note, so that none of them makes a message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from alerter.notify.tickets import paths, words
from alerter.notify.tickets.recipe import Condition, DeedName, Inbound, Reaction, Signature
from services.contracts.incident import MAX_LABELS, MAX_NOTE_CHARS

TOLERANCE: Final = timedelta(minutes=5)
"""How far the time of a signed message may be from ours, as with our own webhooks."""
_ITEMS: Final = 200
_NAME_CHARS: Final = 80
_TAG: Final = re.compile(r"<[^<>]{0,500}>")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done to a ticket, by its name here."""

    name: DeedName
    text: str = ""


@dataclass(frozen=True, slots=True)
class TicketEvent:
    """What somebody did to a ticket."""

    event: str
    """Its id: a repeated one changes nothing."""
    ticket: str | None
    incident: str | None
    """By our own key, if the system says it."""
    by: str
    deeds: tuple[Deed, ...]
    labels: tuple[str, ...] | None = None


def is_from(sign: Signature, secret: str, body: bytes, headers: Mapping[str, str], now: datetime) -> bool:
    """Returns True if whoever sent this knows the secret. `headers` have small letters."""
    given = headers.get(sign.header.lower(), "")
    if sign.by == "bearer":
        word, _, token = given.partition(" ")
        right = hmac.compare_digest(token.strip().encode("utf-8", "replace"), secret.encode())
        return right and word.lower() == "bearer"
    signed = body
    if sign.timestamp is not None:
        stamp = headers.get(sign.timestamp.lower(), "")
        at = _moment(stamp)
        if at is None or abs(at - now) > TOLERANCE:
            return False
        signed = stamp.encode("latin-1", "replace") + sign.between.encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    own = sign.prefix + (digest.hex() if sign.encoding == "hex" else base64.b64encode(digest).decode())
    return hmac.compare_digest(own.encode(), given.strip().encode("utf-8", "replace"))


def _moment(stamp: str) -> datetime | None:
    """Returns the time in a header: RFC 3339, or seconds since 1970."""
    try:
        if re.fullmatch(r"[0-9]{9,11}", stamp):
            return datetime.fromtimestamp(int(stamp), UTC)
        found = datetime.fromisoformat(stamp)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def read(inbound: Inbound, values: Mapping[str, str], body: bytes, endpoint: str) -> TicketEvent | None:
    """Returns what was done, or `None` if we did it ourselves. Raises `ValueError` if this is no JSON or names no ticket."""
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("this is no JSON") from None
    ticket, key = paths.text_at(said, inbound.ticket), paths.text_at(said, inbound.key)
    incident = words.subject_of_key(key)
    if ticket is None and incident is None:
        where = inbound.ticket or inbound.key
        raise ValueError(f"there is no ticket at {where}")
    if any(values.get(own.value) and paths.text_at(said, own.at) == values[own.value] for own in inbound.own):
        return None
    person = paths.text_at(said, inbound.person, _NAME_CHARS)
    return TicketEvent(
        event=paths.text_at(said, inbound.event) or hashlib.sha256(body).hexdigest(),
        ticket=ticket,
        incident=incident,
        by=f"{' '.join((person or 'somebody').split())} ({endpoint})",
        deeds=tuple(_deeds(inbound, said)),
        labels=_labels(said, inbound),
    )


def _deeds(inbound: Inbound, said: Any) -> Iterator[Deed]:
    seen = set()
    for reaction in inbound.reactions:
        item = _met(reaction, said)
        if item is None or (reaction.deed in seen and reaction.deed != "note"):
            continue
        seen.add(reaction.deed)
        text = paths.text_at(item, reaction.text, MAX_NOTE_CHARS) or ""
        text = text or paths.text_at(said, reaction.text, MAX_NOTE_CHARS) or ""
        if is_ours(text):
            text = ""
        if text or reaction.deed != "note":
            yield Deed(reaction.deed, text)


def is_ours(text: str) -> bool:
    """Returns True if a comment begins with our mark, whatever markup the system put around it."""
    return _TAG.sub(" ", text[:2000]).lstrip("\"'> \n").startswith("[Firebreak ")


def _met(reaction: Reaction, said: Any) -> Any:
    """Returns that of which all conditions hold, or `None`."""
    if reaction.each is None:
        return said if all(_holds(one, said) for one in reaction.when) else None
    items = paths.at(said, reaction.each)
    for item in items[:_ITEMS] if isinstance(items, list) else ():
        if all(_holds(one, item) for one in reaction.when):
            return item
    return None


def _holds(condition: Condition, said: Any) -> bool:
    found = paths.at(said, condition.at)
    if not condition.any_of:
        return found is not None and found not in ("", [], {})
    text = "true" if found is True else "false" if found is False else paths.text_at(said, condition.at)
    return text is not None and text.casefold() in {one.casefold() for one in condition.any_of}


def _labels(said: Any, inbound: Inbound) -> tuple[str, ...] | None:
    found = None if inbound.labels is None else paths.at(said, inbound.labels)
    if not isinstance(found, list):
        return None
    texts = [paths.text_at(one, "$", 64) for one in found[:_ITEMS]]
    # Those that we gave the ticket ourselves are none: our name, and our key.
    kept = [text for text in texts if text is not None and not text.casefold().startswith("firebreak")]
    return tuple(dict.fromkeys(kept))[:MAX_LABELS]
