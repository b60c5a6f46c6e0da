"""The timeline says why people were told of a change or not, and the board is ordered by columns.

Older lines give no reason. The new columns are filled from the stored incidents.

Revises: 0001.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

AT_ONCE = 500
"""How many incidents are filled in together."""


def upgrade() -> None:
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tell", sa.String(length=16), nullable=True))

    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("acknowledged_by", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("answer_by", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("easing", sa.Boolean(), server_default=sa.false(), nullable=False))

    _fill()


def _fill() -> None:
    incidents = sa.table(
        "incidents",
        sa.column("id", sa.String()),
        sa.column("dossier", sa.Text()),
        sa.column("acknowledged_by", sa.Text()),
        sa.column("answer_by", sa.BigInteger()),
        sa.column("easing", sa.Boolean()),
    )
    connection, last = op.get_bind(), ""
    query = sa.select(incidents.c.id, incidents.c.dossier).order_by(incidents.c.id).limit(AT_ONCE)
    while rows := connection.execute(query.where(incidents.c.id > last)).all():
        for row in rows:
            incident = json.loads(row.dossier)["incident"]
            values = {
                "acknowledged_by": incident.get("acknowledged_by"),
                "answer_by": _micro(incident.get("answer_by")),
                "easing": "easing" in (incident["state"], (incident.get("outlook") or {}).get("level")),
            }
            connection.execute(sa.update(incidents).where(incidents.c.id == row.id).values(**values))
        last = rows[-1].id


def _micro(moment: str | None) -> int | None:
    """Returns microseconds since 1970 UTC, as all times are stored."""
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    return None if moment is None else (datetime.fromisoformat(moment) - begin) // timedelta(microseconds=1)


def downgrade() -> None:
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.drop_column("easing")
        batch_op.drop_column("answer_by")
        batch_op.drop_column("acknowledged_by")

    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.drop_column("tell")
