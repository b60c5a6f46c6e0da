"""People, schedules and policies can be declared at run time, and changes of endpoints and silences are counted.

Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "declarations",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("revision"),
        sa.UniqueConstraint("part", "id", "version"),
    )
    op.create_index("declarations_by_end", "declarations", ["ends"])
    for table in ("endpoints", "silences"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
            batch_op.add_column(sa.Column("changed_at", sa.BigInteger(), nullable=True))
            batch_op.add_column(sa.Column("changed_by", sa.Text(), nullable=True))


def downgrade() -> None:
    for table in ("silences", "endpoints"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("changed_by")
            batch_op.drop_column("changed_at")
            batch_op.drop_column("version")
    op.drop_index("declarations_by_end", table_name="declarations")
    op.drop_table("declarations")
