"""Deleted posts are remembered by id, so that no signal that is still under way brings one back.

Those that incidents forgot before are among them.

Revises: 0002.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT_ONCE = 500
"""Incidents that are read together."""


def upgrade() -> None:
    table = op.create_table(
        "redactions",
        sa.Column("post", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("post"),
    )
    op.create_index("redactions_old", "redactions", ["at"], unique=False)
    _fill(table)


def _fill(table: sa.Table) -> None:
    incidents = sa.table(
        "incidents",
        sa.column("id", sa.String()),
        sa.column("dossier", sa.Text()),
        sa.column("changed_at", sa.BigInteger()),
    )
    connection, last, known = op.get_bind(), "", set[str]()
    query = sa.select(incidents).order_by(incidents.c.id).limit(AT_ONCE)
    while rows := connection.execute(query.where(incidents.c.id > last)).all():
        new: dict[str, int] = {}
        for row in rows:
            for network, post_id in json.loads(row.dossier).get("cards", {}).get("redacted", ()):
                new.setdefault(f"{network}:{post_id}", row.changed_at)
        fresh = [{"post": post, "at": at} for post, at in new.items() if post not in known]
        known.update(new)
        if fresh:
            connection.execute(sa.insert(table), fresh)
        last = rows[-1].id


def downgrade() -> None:
    op.drop_index("redactions_old", table_name="redactions")
    op.drop_table("redactions")
