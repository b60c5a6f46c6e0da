"""`firebreak rules try`: what rules would have done with the signals of the last days."""

from __future__ import annotations

import asyncio
import heapq
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from alerter.desk.rehearsal import Rehearsal, Report
from alerter.incidents.store import Origin
from services.base.settings import Settings
from services.base.terminal import console, say
from services.config.loading import load, over
from services.config.model import Config
from services.contracts.base import Event
from services.contracts.codec import Unreadable, decode
from services.contracts.topics import SIGNALS
from services.eventlog.base import EventLog, Record

PAGE_RECORDS: Final = 1000
_SINCE: Final = re.compile(r"^(\d+)([mhdw])$")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _since(text: str) -> timedelta:
    match = _SINCE.match(text)
    if match is None:
        raise typer.BadParameter("use a form like 90m, 12h, 30d or 4w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


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
        ("of SEV1", lambda r: sum(one.incident.severity == 1 for one in r.incidents)),
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
        opened = f"{incident.opened_at:%Y-%m-%d %H:%M} UTC"
        say(
            f"{{}} SEV{{}} {{}}{new}\n    [dim]{{}}[/]",
            opened,
            incident.severity,
            incident.title,
            incident.reason,
        )
