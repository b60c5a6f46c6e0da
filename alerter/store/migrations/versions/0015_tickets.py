"""The tickets that incidents have in other systems.

Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("incident", sa.String(length=64), nullable=True),
        sa.Column("ticket", sa.String(length=200), nullable=True),
        sa.Column("shown", sa.String(length=200), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("fields", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("said", sa.String(length=16), nullable=False, server_default=""),
        sa.Column("made", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("asked_wall", sa.BigInteger(), nullable=True),
        sa.Column("asked_sequence", sa.Integer(), nullable=True),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["endpoint"], ["endpoints.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("endpoint", "subject"),
    )
    op.create_index("tickets_of_incident", "tickets", ["incident"], unique=False)
    op.create_index("tickets_by_id", "tickets", ["endpoint", "ticket"], unique=False)


def downgrade() -> None:
    op.drop_table("tickets")
