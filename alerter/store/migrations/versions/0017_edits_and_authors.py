"""Who wrote a post is known by a hash, so that an erased author's posts are found; a hidden post may come back.

Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from alerter.store.tables import Moment

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erased_authors",
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("before", Moment(), nullable=False),
        sa.Column("noted_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("author", name=op.f("pk_erased_authors")),
    )
    op.create_index("erased_authors_old", "erased_authors", ["noted_at"], unique=False)
    with op.batch_alter_table("redactions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("hidden", sa.Boolean(), server_default=sa.false(), nullable=False))
    for table in ("mentions", "answer_clocks"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("author", sa.String(length=64), nullable=True))
            batch_op.create_index(f"{table}_author", ["author"], unique=False)


def downgrade() -> None:
    for table in ("answer_clocks", "mentions"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_index(f"{table}_author")
            batch_op.drop_column("author")
    with op.batch_alter_table("redactions", schema=None) as batch_op:
        batch_op.drop_column("hidden")
    op.drop_index("erased_authors_old", table_name="erased_authors")
    op.drop_table("erased_authors")
