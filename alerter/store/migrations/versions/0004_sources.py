"""What connectors report of their networks: heartbeats and gaps.

Revises: 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("connector", sa.String(length=64), nullable=False),
        sa.Column("brand", sa.String(length=64), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=True),
        sa.Column("every_seconds", sa.Float(), nullable=True),
        sa.Column("gap_begins", sa.BigInteger(), nullable=True),
        sa.Column("gap_ends", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("reported_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("network", "connector", "brand"),
    )


def downgrade() -> None:
    op.drop_table("sources")
