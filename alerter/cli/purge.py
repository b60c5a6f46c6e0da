"""`firebreak purge`: a person deletes what is over before its time."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from services.base.settings import Settings
from services.base.terminal import console, say


def purge(
    before: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d"], help="delete what ended, and last changed, before the start of this day (UTC)"
        ),
    ],
    brand: Annotated[str | None, typer.Option(help="only this brand; by default all of them")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask for confirmation")] = False,
) -> None:
    """Delete ended incidents with everything that belongs to them (timeline, deliveries, pages ...), and answer clocks that
    have stopped, with the digests that named them. A clock that still runs goes on, without its links. It first shows how many
    rows that is, and asks. What is open or still has to be sent stays. The audit log keeps a line about it.

    Works on the database of FIREBREAK_DATABASE (or the SQLite file in FIREBREAK_DATA), a little at a time, so the services can
    keep running. Old rows are also deleted on their own (FIREBREAK_KEEP_INCIDENTS_DAYS). This cannot be undone."""

    from alerter.timekeeper.purging import Purge  # Alembic is slow to import

    limit = before.replace(tzinfo=UTC)
    if limit > datetime.now(UTC):
        raise typer.BadParameter("that day has not begun yet", param_hint="--before")
    with Purge(Settings(), limit, brand) as job:
        rows = job.rows()
        if not any(rows.values()):
            console.print("nothing to delete")
            return
        table = Table(show_edge=False, pad_edge=False)
        table.add_column("what")
        table.add_column("rows", justify="right")
        for name, count in rows.items():
            if count:
                table.add_row(name, f"{count:,}")
        console.print(table)
        if not yes:
            typer.confirm("Delete them?", abort=True)
        done = job.run(getpass.getuser(), rows)
    say("deleted {} incidents and {} answer clocks", format(done.incidents, ","), format(done.answer_clocks, ","))
