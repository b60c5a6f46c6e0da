"""What Alembic runs: our migrations, on the connection and in the transaction that `alerter.store.migrate` gives."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import BigInteger, Integer

from alerter.store.tables import Moment, metadata


def spell(kind: str, thing: Any, _context: AutogenContext) -> str | Literal[False]:
    """Our own types as what they are underneath: a migration must not change when they do."""
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
    render_as_batch=True,  # SQLite cannot alter most of a table: it is written anew
    compare_type=True,
    render_item=spell,
)
with context.begin_transaction():
    context.run_migrations()
