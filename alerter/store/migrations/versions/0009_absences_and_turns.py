"""What a schedule said before it was edited is kept, and so are absences of people.

Revises: 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "absences",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("responder", sa.String(length=64), nullable=False),
        sa.Column("begins", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("absences_by_end", "absences", ["ends"])
    op.create_table(
        "schedule_versions",
        sa.Column("schedule", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holds_from", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("schedule", "number"),
    )
    op.create_index("schedule_versions_by_end", "schedule_versions", ["ends"])


def downgrade() -> None:
    op.drop_table("schedule_versions")
    op.drop_table("absences")
