"""`firebreak rules try`, `explain`, `whatif` and `purge`: what rules would have done, why an incident is there, the same night
under other rules, and forgetting what is over."""

from __future__ import annotations

import asyncio
import getpass
import heapq
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import httpx2
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerter.cli.explain import Line, lines_of
from alerter.desk.rehearsal import Rehearsal, Report
from alerter.incidents.store import Origin
from services.base.errors import ConfigError
from services.base.settings import Settings
from services.config.loading import load, over
from services.config.model import Config
from services.contracts.base import Event
from services.contracts.codec import Unreadable, decode
from services.contracts.topics import SIGNALS
from services.eventlog.base import EventLog, Record

app = typer.Typer(no_args_is_help=True, help="Try rules, explain incidents.")
rules_app = typer.Typer(no_args_is_help=True, help="Try rules before you switch them on.")
app.add_typer(rules_app, name="rules")
console = Console()

PAGE_RECORDS: Final = 1000
_SINCE: Final = re.compile(r"^(\d+)([mhdw])$")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
KEY: Final = "FIREBREAK_ADMIN_KEY"


def _since(text: str) -> timedelta:
    match = _SINCE.match(text)
    if match is None:
        raise typer.BadParameter("use a form like 90m, 12h, 30d or 4w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@rules_app.command("try")
def try_rules(
    file: Annotated[Path, typer.Argument(help="a whole configuration, or only `rules` (policies, topics ...) to try")],
    since: Annotated[str, typer.Option(help="how far back: 90m, 12h, 30d, 4w")] = "30d",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document instead of tables")] = False,
) -> None:
    """Show what these rules would have done with the signals of the last days, next to what the present rules would have done.
    Reads the event log of FIREBREAK_LOG. Changes nothing and tells nobody."""
    settings = Settings()
    back = _since(since)
    present = load(settings.config) if settings.config.exists() else None
    tried = over(file, present) if present is not None else load(file)
    reports = asyncio.run(_rehearse(settings, [tried] if present is None else [tried, present], back))
    if as_json:
        names = ("tried", "present")
        typer.echo(json.dumps({names[n]: _plain(report) for n, report in enumerate(reports)}, indent=2))
        return
    _show_rehearsal(reports[0], reports[1] if len(reports) > 1 else None)


async def _rehearse(settings: Settings, configs: list[Config], back: timedelta) -> list[Report]:
    from services.runtime.process import open_log

    log = open_log(settings)
    await log.start()
    rehearsals = [Rehearsal(config) for config in configs]
    now = datetime.now(UTC)
    last = now - back
    try:
        async for record in _signals(log, (now - back).timestamp() * 1000):
            try:
                envelope = decode(record.value)
            except Unreadable:
                continue
            last = max(last, _moment(envelope.event, record))
            origin = Origin(envelope.id, record.partition, record.offset)
            for rehearsal in rehearsals:
                rehearsal.play(envelope.event, origin, last)
    finally:
        await log.close()
    return [rehearsal.report(last) for rehearsal in rehearsals]


def _moment(event: Event, record: Record) -> datetime:
    """When it was so: on a replay's clock the signal's own time, on the log's where it has none."""
    at = getattr(event, "at", None)
    return at if isinstance(at, datetime) else datetime.fromtimestamp(record.appended_ms / 1000, UTC)


async def _signals(log: EventLog, from_ms: float) -> AsyncIterator[Record]:
    """Of all partitions, in the order in which they were appended."""
    waiting: list[tuple[int, int, int, Record]] = []
    places = {p: (begin, end) for p, (begin, end) in (await log.bounds(SIGNALS.name)).items()}
    pages: dict[int, Iterator[Record]] = {p: iter(()) for p in places}

    async def refill(partition: int) -> None:
        while True:
            record = next(pages[partition], None)
            if record is not None:
                if record.appended_ms >= from_ms:
                    heapq.heappush(waiting, (record.appended_ms, partition, record.offset, record))
                    return
                continue
            at, end = places[partition]
            if at >= end:
                return
            batch = await log.read(SIGNALS.name, partition, at, PAGE_RECORDS)
            if batch.next <= at:
                return
            places[partition] = (batch.next, end)
            pages[partition] = iter(batch.records)

    for partition in places:
        await refill(partition)
    while waiting:
        _, partition, _, record = heapq.heappop(waiting)
        yield record
        await refill(partition)


def _plain(report: Report) -> dict[str, Any]:
    return {
        "signals": report.signals,
        "messages": report.messages,
        "worth": asdict(report.worth),
        "incidents": [
            {
                **one.incident.model_dump(
                    mode="json", include={"brand", "story", "state", "severity", "title", "reason", "rule", "opened_at"}
                ),
                "messages": one.messages,
                "held": one.incident.held is not None,
            }
            for one in report.incidents
        ],
    }


def _show_rehearsal(tried: Report, present: Report | None) -> None:
    table = Table(title=f"{tried.signals:,} signals", title_justify="left")
    for name in ("", "tried", *(("present",) if present is not None else ())):
        table.add_column(name, justify="right" if name else "left")
    for name, value in (
        ("incidents", lambda r: len(r.incidents)),
        ("of severity 1", lambda r: sum(one.incident.severity == 1 for one in r.incidents)),
        ("held back", lambda r: sum(one.incident.held is not None for one in r.incidents)),
        ("messages, if nobody acknowledges", lambda r: r.messages),
        ("crossed after people were told", lambda r: r.worth.lead.in_time if r.worth.lead else 0),
        ("median lead, minutes", lambda r: "-" if r.worth.lead is None else f"{r.worth.lead.median_minutes:.0f}"),
        ("precision", lambda r: "-" if r.worth.precision is None else f"{r.worth.precision:.2f}"),
    ):
        table.add_row(name, *(str(value(r)) for r in (tried, present) if r is not None))
    console.print(table)
    known = {(one.incident.brand, one.incident.story) for one in present.incidents} if present is not None else set()
    for one in tried.incidents:
        incident = one.incident
        new = " [bold](new)[/]" if present is not None and (incident.brand, incident.story) not in known else ""
        console.print(
            f"{incident.opened_at:%Y-%m-%d %H:%M} severity {incident.severity} {incident.title}{new}\n"
            f"    [dim]{incident.reason}[/]",
            highlight=False,
        )


@app.command()
def explain(
    incident: Annotated[str, typer.Argument(help="its id, or the start of it")],
    url: Annotated[str, typer.Option(help="URL of the installation's API")] = "http://127.0.0.1:8080",
) -> None:
    """Show everything from the first post to the pager on one screen: each decision with its reason, its place in the log and
    the time it took. The key comes from FIREBREAK_ADMIN_KEY."""
    key = os.environ.get(KEY, "")
    if not key:
        raise ConfigError(f"set {KEY} to an API key with scope read")
    with httpx2.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30) as client:
        told = _get(client, f"/v1/incidents/{_whole(client, incident)}/explain")
    show_explanation(told)


def _get(client: httpx2.Client, path: str, **query: str) -> Any:
    try:
        answer = client.get(path, params=query)
    except httpx2.TransportError as error:
        raise ConfigError(f"{client.base_url} does not answer: {error}") from error
    if answer.status_code != 200:
        detail = answer.json().get("detail") if "json" in answer.headers.get("content-type", "") else answer.text[:200]
        raise ConfigError(f"{client.base_url} answered {answer.status_code}: {detail}")
    return answer.json()


def _whole(client: httpx2.Client, beginning: str) -> str:
    if len(beginning) == 32:
        return beginning
    items = _get(client, "/v1/incidents", limit="200")["items"]
    found = [item["id"] for item in items if item["id"].startswith(beginning)]
    if len(found) != 1:
        raise ConfigError(f"{len(found)} of the latest 200 incidents start with {beginning!r}; give the whole id")
    return str(found[0])


def show_explanation(told: Any) -> None:
    incident = told["incident"]
    console.print(
        f"[bold]{incident['title']}[/]\nseverity {incident['severity']}, {incident['state']}", highlight=False
    )
    for words in ("reason",):
        console.print(f"[dim]{incident[words]}[/]", highlight=False)
    for words in ("how_sure", "by_when", "who_has_it"):
        console.print(told[words], highlight=False)
    table = Table(show_edge=False, pad_edge=False)
    for name in ("when", "after", "what", "why", "where", "took"):
        table.add_column(name, justify="right" if name in ("after", "took") else "left")
    for line in lines_of(told):
        table.add_row(*(Text(cell) for cell in _cells(line)))
    console.print(table)


def _cells(line: Line) -> tuple[str, ...]:
    took = "" if line.took_seconds is None else _span(line.took_seconds)
    return f"{line.at:%m-%d %H:%M:%S}", _span(line.after_seconds), line.what, line.why, line.where, took


def _span(seconds: float) -> str:
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"


@app.command()
def whatif(
    drill: Annotated[Path, typer.Argument(help="a script such as deploy/drills/1-quoted-by-the-loud.yaml")],
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
    console.print(f"[bold]{comparison.summary}[/] ({comparison.pages_before} pages, now {comparison.pages_after})")
    for what in comparison.broken:
        console.print(f"[red]expected, but missing now[/]: {what}")
    if comparison.broken:
        raise typer.Exit(1)


def _clock(seconds: float | None) -> str:
    return "-" if seconds is None else f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"


@app.command()
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
    have stopped. It first shows how many rows that is, and asks. What is open or still has to be sent stays. The audit log
    keeps a line about it.

    Works on the database of FIREBREAK_DATABASE (or the SQLite file in FIREBREAK_DATA), a little at a time, so the services can
    keep running. Old rows are also deleted on their own (FIREBREAK_KEEP_INCIDENTS_DAYS). This cannot be undone."""
    from alerter.timekeeper.purging import Purge

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
    console.print(f"deleted {done.incidents:,} incidents and {done.answer_clocks:,} answer clocks")
