"""Answers become an inbox: who wrote, who answers, until when it waits, and how a person settled it.

Revises: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COLUMNS = (
    ("handle", sa.Text()),
    ("complaint", sa.Float()),
    ("assigned_to", sa.Text()),
    ("snoozed_until", sa.BigInteger()),
    ("settled_by", sa.Text()),
    ("settled_as", sa.String(length=16)),
)


def upgrade() -> None:
    with op.batch_alter_table("answer_clocks", schema=None) as batch_op:
        for name, kind in COLUMNS:
            batch_op.add_column(sa.Column(name, kind, nullable=True))
        batch_op.create_index("answer_clocks_story", ["brand", "conversation"])


def downgrade() -> None:
    with op.batch_alter_table("answer_clocks", schema=None) as batch_op:
        batch_op.drop_index("answer_clocks_story")
        for name, _ in reversed(COLUMNS):
            batch_op.drop_column(name)
