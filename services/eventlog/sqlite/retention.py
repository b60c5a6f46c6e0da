"""What retention deletes from the embedded log, a little in each transaction, so that appends never wait long."""

from __future__ import annotations

import sqlite3
from typing import Final

ROWS: Final = 1000
"""Deleted in one transaction at most."""


def expire(db: sqlite3.Connection, topic: str, partition: int, before_ms: int) -> int:
    """Delete records that were appended before `before_ms`. Returns how many, `ROWS` at most.

    Only a prefix goes: the first record that is young enough ends it, whatever the clock did later."""
    rows = db.execute(
        "SELECT offset, appended_ms FROM records WHERE topic = ? AND partition = ? ORDER BY offset LIMIT ?",
        (topic, partition, ROWS),
    ).fetchall()
    old = 0
    while old < len(rows) and rows[old][1] < before_ms:
        old += 1
    if old:
        start = rows[old - 1][0] + 1
        db.execute("DELETE FROM records WHERE topic = ? AND partition = ? AND offset < ?", (topic, partition, start))
        db.execute("UPDATE topics SET start = ? WHERE topic = ? AND partition = ?", (start, topic, partition))
    return old


def compact(db: sqlite3.Connection, topic: str, partition: int) -> int:
    """Delete records that a later one of the same key supersedes. Returns how many, `ROWS` at most."""
    return db.execute(
        "DELETE FROM records WHERE (topic, partition, offset) IN (SELECT old.topic, old.partition, old.offset"
        " FROM records old JOIN (SELECT key, MAX(offset) AS newest FROM records WHERE topic = ?1 AND partition = ?2"
        " GROUP BY key) AS last ON old.key = last.key WHERE old.topic = ?1 AND old.partition = ?2"
        " AND old.offset < last.newest LIMIT ?3)",
        (topic, partition, ROWS),
    ).rowcount
