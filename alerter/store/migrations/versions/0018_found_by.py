"""Incidents are found by the words of their posts, their labels, networks and languages.

The new columns are filled from the stored incidents.

Revises: 0017.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

AT_ONCE = 500
"""How many incidents are filled in together."""
COLUMNS = ("words", "kept_words", "labels", "networks", "languages")


def upgrade() -> None:
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        for name in COLUMNS:
            batch_op.add_column(sa.Column(name, sa.Text(), server_default="", nullable=False))
    with op.batch_alter_table("volumes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("newest_at", sa.BigInteger(), nullable=True))
    _fill()


def _fill() -> None:
    names = [sa.column(name, sa.Text()) for name in COLUMNS]
    incidents = sa.table("incidents", sa.column("id", sa.String()), sa.column("dossier", sa.Text()), *names)
    connection, last = op.get_bind(), ""
    query = sa.select(incidents.c.id, incidents.c.dossier).order_by(incidents.c.id).limit(AT_ONCE)
    while rows := connection.execute(query.where(incidents.c.id > last)).all():
        for row in rows:
            values = _found_by(json.loads(row.dossier))
            connection.execute(sa.update(incidents).where(incidents.c.id == row.id).values(**values))
        last = rows[-1].id


def _found_by(record: dict[str, Any]) -> dict[str, str]:
    """As it was written when this version came; `alerter.incidents.findable` has what is written now."""
    cards, labels = record.get("cards") or {}, record["incident"].get("labels") or ()
    single = [card for name in ("root", "driver") if (card := cards.get(name))]
    posts = [*single, *(cards.get("loudest") or ()), *(cards.get("exemplars") or ())]
    shown = [card for card in posts if card.get("policy", "text_allowed") == "text_allowed"]
    kept = [card for card in posts if card not in shown]
    networks = [*(card["network"] for card in posts), *((record.get("surge") or {}).get("networks") or ())]
    return {
        "words": _listed([*map(_words, shown), *labels, record.get("asked") or ""]),
        "kept_words": _listed(map(_words, kept)),
        "labels": _listed(labels),
        "networks": _listed(networks),
        "languages": _listed((card.get("language") or "").partition("-")[0] for card in posts),
    }


def _words(card: dict[str, Any]) -> str:
    return f"{card.get('author') or ''} {(card.get('text') or '')[:500]}".strip()


def _listed(values: Any) -> str:
    clean = {" ".join(value.replace("\x00", " ").split()).casefold() for value in values if value}
    return "".join(f"\n{value}" for value in sorted(clean)) + "\n" if clean else ""


def downgrade() -> None:
    with op.batch_alter_table("volumes", schema=None) as batch_op:
        batch_op.drop_column("newest_at")
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        for name in COLUMNS:
            batch_op.drop_column(name)
