"""Copies of one text share an answer clock. Clocks of before have no voice, and nothing joins them.

Revises: 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("answer_clocks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("voice", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("copies", sa.Integer(), server_default="0", nullable=False))
        batch_op.create_index("answer_clocks_voice", ["brand", "voice"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("answer_clocks", schema=None) as batch_op:
        batch_op.drop_index("answer_clocks_voice")
        batch_op.drop_column("copies")
        batch_op.drop_column("voice")
