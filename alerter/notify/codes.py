"""Codes by which a person confirms a method: six digits are sent there, and the person enters them within ten minutes.

Five tries a code and five codes an hour: whoever guesses is right once in forty thousand hours. The code itself
is nowhere at rest (`LinkSigner.code`). All functions run inside the caller's transaction.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from alerter.notify import outbox
from alerter.notify.formats import native
from alerter.notify.links import METHOD_CODE, LinkSigner
from alerter.notify.outbox import Cause
from alerter.store.tables import deliveries, method_codes
from services.config.rota import Responder

LASTS: Final = timedelta(minutes=10)
MOST_TRIES: Final = 5
MOST_CODES: Final = 5
"""Codes of one method in an hour."""
MOST_TESTS: Final = 10
"""Test messages that a person sends to one method in an hour."""
PERIOD: Final = timedelta(hours=1)


class Entered(StrEnum):
    """What became of a code that somebody entered."""

    RIGHT = "right"
    WRONG = "wrong"
    NONE = "none"
    """There is no code that could still be entered: none was sent, or it is too old or had too many tries."""


def send(connection: Connection, person: Responder, method: str, id_: str, now: datetime, wall: datetime) -> bool:
    """Send a code there, in place of the one before. `id_` is random. Returns False if there were enough in this hour."""
    of = (method_codes.c.responder == person.id, method_codes.c.method == method)
    recent = select(func.count()).select_from(method_codes).where(*of, method_codes.c.made_at > now - PERIOD)
    if (connection.scalar(recent) or 0) >= MOST_CODES:
        return False
    cause, ends = Cause(METHOD_CODE, None, ("code", person.id, id_)), now + LASTS
    connection.execute(update(method_codes).where(*of, method_codes.c.ends_at > now).values(ends_at=now))
    row = {"delivery": outbox.delivery_id(cause, method), "responder": person.id, "method": method, "tries": 0}
    connection.execute(insert(method_codes).values(**row, made_at=now, ends_at=ends))
    outbox.end_pause(connection, method)
    outbox.enqueue(
        connection, cause, native.render_code(person.id, person.called, method, ends, now), [method], now, wall
    )
    return True


def enter(connection: Connection, links: LinkSigner, person: str, method: str, code: str, now: datetime) -> Entered:
    """Compare what somebody entered with the last code. The try counts before it is looked at; a code is good for once."""
    of = (method_codes.c.responder == person, method_codes.c.method == method)
    open_ = (*of, method_codes.c.ends_at > now, method_codes.c.tries < MOST_TRIES)
    newest = select(method_codes.c.delivery).where(*open_).order_by(method_codes.c.made_at.desc()).limit(1)
    delivery = connection.scalar(newest)
    if delivery is None:
        return Entered.NONE
    tried = update(method_codes).where(method_codes.c.delivery == delivery, method_codes.c.tries < MOST_TRIES)
    if not connection.execute(tried.values(tries=method_codes.c.tries + 1)).rowcount:
        return Entered.NONE
    if not hmac.compare_digest(links.code(delivery).encode(), code.encode("utf-8", "replace")):
        return Entered.WRONG
    connection.execute(update(method_codes).where(method_codes.c.delivery == delivery).values(ends_at=now))
    return Entered.RIGHT


def tests_left(connection: Connection, method: str, now: datetime) -> bool:
    """Returns True if a person may send another test message to this method now."""
    query = select(func.count()).select_from(deliveries)
    recent = query.where(
        deliveries.c.endpoint == method, deliveries.c.type == "endpoint.test", deliveries.c.created_at > now - PERIOD
    )
    return (connection.scalar(recent) or 0) < MOST_TESTS
