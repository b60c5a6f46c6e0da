"""People confirm the methods by which they are reached, and drills ring everybody on duty once.

Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contact_methods",
        sa.Column("responder", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_how", sa.String(length=16), nullable=True),
        sa.Column("endpoint_made", sa.BigInteger(), nullable=True),
        sa.Column("off_at", sa.BigInteger(), nullable=True),
        sa.Column("off_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("responder", "method"),
    )
    op.create_index("contact_methods_off", "contact_methods", ["off_at"])

    op.create_table(
        "method_codes",
        sa.Column("delivery", sa.String(length=64), nullable=False),
        sa.Column("responder", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("delivery"),
    )
    op.create_index("method_codes_newest", "method_codes", ["responder", "method", "made_at"])

    op.create_table(
        "drills",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("every_method", sa.Boolean(), nullable=False),
        sa.Column("gaps", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("drills_newest", "drills", ["begun_at"])

    op.create_table(
        "drill_pages",
        sa.Column("drill", sa.String(length=32), nullable=False),
        sa.Column("responder", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("delivery", sa.String(length=64), nullable=True),
        sa.Column("why_not", sa.Text(), nullable=True),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["drill"], ["drills.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("drill", "responder", "method"),
    )


def downgrade() -> None:
    op.drop_table("drill_pages")
    op.drop_table("drills")
    op.drop_table("method_codes")
    op.drop_table("contact_methods")
