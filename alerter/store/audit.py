"""The audit log: every change that somebody made, by whom, to what and when. Written with the change, never altered.

    audit.record(connection, now, caller.name, "endpoint.created", name, brand, {"target": "https://x.example"})

`what` is `thing.action` in the past tense. `detail` says what the change was, and must hold no secret.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, insert

from alerter.store.tables import audit


def record(
    connection: Connection,
    at: datetime,
    actor: str,
    what: str,
    on: str,
    brand: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Write the change down, in the transaction that makes it. A `brand` of `None` means that it concerns more than one."""
    values = {"at": at, "actor": actor, "what": what, "subject": on, "brand": brand}
    connection.execute(insert(audit).values(**values, detail=json.dumps(dict(detail or {}))))


def only(brands: Collection[str]) -> str | None:
    """Returns the brand, if there is exactly one."""
    return next(iter(brands)) if len(brands) == 1 else None
