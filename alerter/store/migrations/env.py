"""Runs our migrations for Alembic, on the connection and in the transaction of `alerter.store.migrate`."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import BigInteger, Integer

from alerter.store.tables import Moment, metadata


def spell(kind: str, thing: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write our own column types as what they are underneath, because a migration must not change when they do."""
    if kind != "type":
        return False
    if isinstance(thing, Moment):
        return "sa.BigInteger()"
    if isinstance(thing, BigInteger) and isinstance(thing._variant_mapping.get("sqlite"), Integer):  # noqa: SLF001
        return 'sa.BigInteger().with_variant(sa.Integer(), "sqlite")'
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter much of a table, so it is copied
    compare_type=True,
    render_item=spell,
)
with context.begin_transaction():
    context.run_migrations()
