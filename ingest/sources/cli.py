"""`firebreak sources`: how each source fares, and a trial of one before it is trusted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from ingest.sources.base import Heard, SourceTrouble
from ingest.sources.building import Wanted, build_source, wanted
from ingest.sources.purse import DAY_SECONDS, Purse
from ingest.sources.secrets import prefix_of
from services.base.clock import Clock, RealClock
from services.base.egress import GuardedBackend, allowed_networks
from services.base.errors import FirebreakError
from services.base.guarded_client import guarded_client
from services.base.settings import Settings
from services.base.terminal import console, say
from services.config.current import CurrentConfig
from services.config.file import ConfigFile
from services.contracts.source_status import Phase, SourceStatus, decode_status
from services.contracts.topics import SOURCES
from services.eventlog.base import EventLog
from services.runtime.process import open_log

READ_RECORDS: Final = 10_000
NEVER: Final = "-"

app = typer.Typer(no_args_is_help=True, help="Sources that hear the networks.")
sources = typer.Typer(invoke_without_command=True, help="How each source fares, and a trial of one.")
app.add_typer(sources, name="sources")


@sources.callback()
def show(context: typer.Context) -> None:
    """Show for each source who holds it, when it last brought a post, its lag, gap, spending and next try.

    Read from the log, which the services need not be stopped for. `firebreak sources test NAME` tries one."""
    if context.invoked_subcommand is None:
        settings = Settings()
        asyncio.run(_show(settings))


@sources.command("test")
def try_source(
    name: Annotated[str, typer.Argument(help="a connector of the configuration")],
    seconds: Annotated[float, typer.Option(help="how long to listen", min=1, max=3600)] = 15,
) -> None:
    """Try a source with its credentials: one real question, then listen for a while. Stores nothing and moves no cursor.

    Says what came, and what a day would cost at that rate. The exit code is 1 if the network cannot be heard."""
    if not asyncio.run(_try(Settings(), name, seconds)):
        raise typer.Exit(1)


async def _show(settings: Settings) -> None:
    now = RealClock().now()
    configured = wanted(CurrentConfig.from_file(ConfigFile(settings.config, settings.data)).config)
    if not configured:
        say("No connector is configured: posts come through the API. See {} for `listen`.", "docs/sources/README.md")
        return
    log = open_log(settings)
    await log.start()
    try:
        said = await last_words(log)
    finally:
        await log.close()
    table = Table(box=None, pad_edge=False)
    for column in (
        "source",
        "network",
        "kind",
        "state",
        "holder",
        "last post",
        "lag",
        "gap",
        "today",
        "month",
        "next try",
    ):
        table.add_column(column, no_wrap=column in {"source", "state"})
    troubles = []
    for name, one in sorted(configured.items()):
        status = said.get(name)
        table.add_row(name, one.network, one.kind, *cells(status, now))
        if status is not None and status.why is not None:
            troubles.append((name, status.why))
    console.print(table)
    for name, why in troubles:
        say("[yellow]{}[/]: {}", name, why)


async def last_words(log: EventLog) -> dict[str, SourceStatus]:
    """What was last said of each source."""
    found: dict[str, SourceStatus] = {}
    for partition, (start, after) in (await log.bounds(SOURCES.name)).items():
        at = start
        while at < after:
            batch = await log.read(SOURCES.name, partition, at, READ_RECORDS)
            if not batch.records:
                break
            at = batch.next
            for record in batch.records:
                with contextlib.suppress(ValueError):  # of another release: the next word comes within a minute
                    found[record.key] = decode_status(record.value or b"")
    return found


def cells(status: SourceStatus | None, now: datetime) -> Sequence[str]:
    """What the table says of one source, from its state on."""
    if status is None:
        return ("never ran", *[NEVER] * 7)
    quiet = (now - status.at).total_seconds()
    state = status.phase.value
    if status.phase is not Phase.CALLED and quiet > 3 * 60 and (status.next_try_at is None or status.next_try_at < now):
        state = f"not heard of for {_span(quiet)}"
    elif status.share < 1:
        state += f", hears {status.share:.0%}"
    return (
        state,
        status.holder,
        NEVER if status.last_post_at is None else f"{_span((now - status.last_post_at).total_seconds())} ago",
        NEVER if status.lag_seconds is None else _span(status.lag_seconds),
        NEVER if status.gap_since is None else f"since {status.gap_since:%m-%d %H:%M} UTC",
        f"${status.spent_today:.2f}",
        f"${status.spent_this_month:.2f}",
        NEVER if status.next_try_at is None else f"{status.next_try_at:%H:%M:%S} UTC",
    )


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


@dataclass(slots=True)
class Trial:
    """What a source brought while it was tried."""

    items: int = 0
    batches: int = 0
    gaps: int = 0


async def _try(settings: Settings, name: str, seconds: float) -> bool:
    configured = wanted(CurrentConfig.from_file(ConfigFile(settings.config, settings.data)).config)
    if name not in configured:
        raise FirebreakError(f"there is no source {name!r}; there are {', '.join(sorted(configured)) or 'none'}")
    one, clock = configured[name], RealClock()
    purse = Purse(one.section.spending, clock)
    async with guarded_client(GuardedBackend(allowed_networks(settings.egress_allow))) as http:
        try:
            source = build_source(one, configured, clock, http, purse)
        except SourceTrouble as trouble:
            say(
                "[red]refused[/] {}\n      [bold]do[/]: secrets stand in the environment as {}...",
                trouble,
                prefix_of(name),
            )
            return False
        try:
            return await _tried(source, one, purse, clock, seconds)
        finally:
            await source.close()


async def _tried(source: Any, one: Wanted, purse: Purse, clock: Clock, seconds: float) -> bool:
    if not hasattr(source, "listen"):
        say("[green]ok[/]    {} has its secrets, and is called at /v1/sources/{}", one.kind, one.name)
        return True
    try:
        found = await source.probe()
    except SourceTrouble as trouble:
        say("[red]{}[/] {}", type(trouble).__name__.lower(), trouble)
        return False
    newest = "" if found.newest is None else f"; the newest post is of {found.newest:%Y-%m-%d %H:%M:%S} UTC"
    say("[green]ok[/]    {} answers{}{}", one.network, f": {found.note}" if found.note else "", newest)
    say("...   listening for {} s", f"{seconds:g}")
    trial, began = Trial(), clock.now()
    stream = source.listen(None)
    try:
        async with asyncio.timeout(seconds):
            async for heard in stream:
                _count(trial, heard)
    except TimeoutError:
        pass
    except SourceTrouble as trouble:
        say("[red]{}[/] {}", type(trouble).__name__.lower(), trouble)
        return False
    finally:
        with contextlib.suppress(Exception):
            await stream.aclose()
    say(
        "[green]ok[/]    {} items in {} batches; {} gaps were stated. Nothing was stored",
        trial.items,
        trial.batches,
        trial.gaps,
    )
    elapsed = max(1.0, (clock.now() - began).total_seconds())
    a_day = purse.spent.today / elapsed * DAY_SECONDS
    budget = one.section.spending.day_dollars
    limit = "without a limit" if budget is None else f"the budget of a day is ${budget:.2f}"
    say("cost  ${} now, about ${} a day at this rate; {}", f"{purse.spent.today:.4f}", f"{a_day:.2f}", limit)
    return True


def _count(trial: Trial, heard: Heard) -> None:
    trial.batches += 1
    trial.items += len(heard.items)
    trial.gaps += len(heard.missed)
