"""A delivery may stand for older ones, and an endpoint has hours and headers of its own.

Revises: 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("superseded_by", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("waits_since", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.add_column(sa.Column("hours", sa.Text(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("header_names", sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.drop_column("header_names")
        batch_op.drop_column("hours")
    op.execute("UPDATE deliveries SET state = 'cancelled' WHERE state = 'superseded'")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_column("waits_since")
        batch_op.drop_column("superseded_by")
