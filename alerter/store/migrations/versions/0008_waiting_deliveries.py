"""What waits for one endpoint is found without reading what waits for the others, and so are leases.

Revises: 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_LEASED = sa.text("lease_ends_wall IS NOT NULL")


def upgrade() -> None:
    op.drop_index("deliveries_of_endpoint", table_name="deliveries")
    op.create_index("deliveries_of_endpoint", "deliveries", ["endpoint", "state", "next_attempt_at"])
    op.create_index(
        "deliveries_leased", "deliveries", ["lease_ends_wall"], sqlite_where=_LEASED, postgresql_where=_LEASED
    )


def downgrade() -> None:
    op.drop_index("deliveries_leased", table_name="deliveries")
    op.drop_index("deliveries_of_endpoint", table_name="deliveries")
    op.create_index("deliveries_of_endpoint", "deliveries", ["endpoint", "state"])
