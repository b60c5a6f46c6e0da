"""A position names the record before it, so that it is noticed when the log under it is another one.

Revises: 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("positions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("last_offset", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("last_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("positions", schema=None) as batch_op:
        batch_op.drop_column("last_ms")
        batch_op.drop_column("last_offset")
