"""`firebreak whatif`: the same night under other rules."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from services.base.terminal import console, say
from services.config.loading import over


def whatif(
    drill: Annotated[Path, typer.Argument(help="a script, or the name of one that ships")],
    config: Annotated[Path, typer.Option(help="a whole configuration, or only `rules` (policies, topics ...) to try")],
    seed: Annotated[int | None, typer.Option(help="another seed plays a different night")] = None,
) -> None:
    """Play the same night under its own rules and under others, and show what differs. Exits with 1 if something that the
    script expects happened under its own rules and does not happen under the new ones."""
    from services.tools.drills.compare import compare
    from services.tools.drills.player import play_manual
    from services.tools.drills.script import load as load_script

    script = load_script(drill)
    other = script.model_copy(update={"config": over(config, script.config)})
    before, _ = asyncio.run(play_manual(script, seed))
    after, _ = asyncio.run(play_manual(other, seed))
    comparison = compare(before, after)
    table = Table(title=script.title, title_justify="left")
    for name in ("story", "brand", "told", "told now", ""):
        table.add_column(name)
    for change in comparison.changes:
        table.add_row(change.story, change.brand, _clock(change.before), _clock(change.after), change.words)
    console.print(table)
    say("[bold]{}[/] ({} pages, now {})", comparison.summary, comparison.pages_before, comparison.pages_after)
    for what in comparison.broken:
        say("[red]expected, but missing now[/]: {}", what)
    if comparison.broken:
        raise typer.Exit(1)


def _clock(seconds: float | None) -> str:
    return "-" if seconds is None else f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
