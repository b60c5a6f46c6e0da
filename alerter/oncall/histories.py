"""What schedules said, as rows: written when another configuration is taken. Runs inside the caller's transaction.

Several replicas may take the same configuration: a version has a number, so only one of them writes it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Select, delete, or_, select, update

from alerter.oncall import absences
from alerter.oncall.versions import LONGEST, Version, edited
from alerter.store import audit
from alerter.store.database import insert_missing
from alerter.store.tables import schedule_versions as rows
from services.config.rota import Schedule


def since(
    connection: Connection, begin: datetime, schedules: Collection[str] | None = None
) -> dict[str, list[Version]]:
    """Returns what schedules said and say from `begin` on, by their ids, each the oldest version first."""
    found = numbered(connection, begin, schedules)
    return {schedule: [version for _, version in versions] for schedule, versions in found.items()}


def take(
    connection: Connection, schedules: Iterable[Schedule], now: datetime, by: str | None = "configuration"
) -> list[str]:
    """Note what the schedules say from now on. Returns the ids of those that say something else than before. `by` is who is
    named in the audit log; with `None` the caller writes there what was done."""
    known = numbered(connection, now)
    away = absences.between(connection, now, now + LONGEST)
    changed = []
    for schedule in schedules:
        before_edit = known.get(schedule.id, [])
        before = [version for _, version in before_edit]
        after = edited(before, schedule, now, away)
        if after == before or not note(connection, schedule.id, before_edit, after):
            continue
        if before:
            changed.append(schedule.id)
        if before and by is not None:
            detail = {"holds_from": max(now, after[-1].holds_from).isoformat()}
            audit.record(connection, now, by, "schedule.changed", schedule.id, None, detail)
    return changed


def numbered(
    connection: Connection, begin: datetime, schedules: Collection[str] | None = None
) -> dict[str, list[tuple[int, Version]]]:
    """The same as `since`, each version with its number."""
    query: Select[tuple[object, ...]] = select(*rows.c["schedule", "number", "holds_from", "text", "first"])
    query = query.where(or_(rows.c.ends.is_(None), rows.c.ends > begin))
    if schedules is not None:
        query = query.where(rows.c.schedule.in_(list(schedules)))
    found: dict[str, list[tuple[int, Version]]] = {}
    for row in connection.execute(query.order_by(rows.c.schedule, rows.c.number)):
        version = Version(row.holds_from, row.text, tuple(json.loads(row.first)))
        found.setdefault(row.schedule, []).append((row.number, version))
    return found


def note(
    connection: Connection, schedule: str, before: Sequence[tuple[int, Version]], after: Sequence[Version]
) -> bool:
    """Make the rows say what is true `after` the edit. Returns False if another replica was quicker."""
    held = [number for number, version in before if version in after]
    dropped = [number for number, version in before if version not in after]
    new = after[len(held) :]
    for version in new:
        row = {
            "schedule": schedule,
            # Counted on from what is dropped, too, so that two replicas that drop the same write the same number.
            "number": max([*held, *dropped], default=0) + 1,
            "holds_from": version.holds_from,
            "ends": None,
            "text": version.text,
            "first": json.dumps(version.first),
        }
        if not insert_missing(connection, rows, [row]):
            return False
    mine = rows.c.schedule == schedule
    if held:
        ends = new[0].holds_from if new else None
        connection.execute(update(rows).where(mine, rows.c.number == held[-1]).values(ends=ends))
    if dropped:
        connection.execute(delete(rows).where(mine, rows.c.number.in_(dropped)))
    return True
