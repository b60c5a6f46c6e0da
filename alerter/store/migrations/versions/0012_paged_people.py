"""A page knows the person behind its target, who may be paged by several of them.

Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("pages", schema=None) as batch_op:
        batch_op.add_column(sa.Column("responder", sa.String(length=64), nullable=True))


def downgrade() -> None:
    # An older version takes the number of a hand-over for that of a step.
    op.execute("UPDATE pages SET state = 'void' WHERE number < 0 AND state = 'sent'")
    op.execute("UPDATE rings SET state = 'cancelled' WHERE number < 0 AND state = 'waiting'")
    with op.batch_alter_table("pages", schema=None) as batch_op:
        batch_op.drop_column("responder")
