"""The audit log: who changed what, and when. Each line is written with its change, and no line is ever altered.

    audit.record(connection, now, caller.name, "endpoint.created", name, brand, {"target": "https://x.example"})

`what` is `thing.action` in the past tense. `detail` says what was changed, and must not contain a secret.
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
    """Write a line, in the transaction that makes the change. `brand` is `None` if the change concerns several."""
    values = {"at": at, "actor": actor, "what": what, "subject": on, "brand": brand}
    connection.execute(insert(audit).values(**values, detail=json.dumps(dict(detail or {}))))


def only(brands: Collection[str]) -> str | None:
    """Returns the brand if there is exactly one, or else `None`."""
    return next(iter(brands)) if len(brands) == 1 else None
