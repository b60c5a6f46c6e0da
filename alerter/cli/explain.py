"""`firebreak explain`: an incident as lines in the order of time, from the first post to the pager."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import httpx2
import typer
from rich.table import Table
from rich.text import Text

from alerter.states import StepState, TellReason
from services.base.errors import ConfigError
from services.base.terminal import console, say

KEY: Final = "FIREBREAK_ADMIN_KEY"


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
    say("[bold]{}[/]\nSEV{}, {}", incident["title"], incident["severity"], incident["state"])
    for words in ("reason",):
        say("[dim]{}[/]", incident[words])
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
    return f"{line.at:%m-%d %H:%M:%S} UTC", _span(line.after_seconds), line.what, line.why, line.where, took


def _span(seconds: float) -> str:
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"


@dataclass(frozen=True, slots=True)
class Line:
    """`after_seconds`: since the first line. `took_seconds`: real time from the record's append to our commit, or of the
    request."""

    at: datetime
    after_seconds: float
    what: str
    why: str
    where: str = ""
    took_seconds: float | None = None


def lines_of(told: Mapping[str, Any]) -> list[Line]:
    """Of what `GET /v1/incidents/{id}/explain` answers."""
    found = sorted(
        [*_posts(told), *_decisions(told), *_deliveries(told), *_steps(told), *_rings(told)], key=lambda pair: pair[0]
    )
    if not found:
        return []
    first = found[0][0]
    return [Line(at, (at - first).total_seconds(), what, why, where, took) for at, what, why, where, took in found]


_Row = tuple[datetime, str, str, str, float | None]


def _posts(told: Mapping[str, Any]) -> Iterator[_Row]:
    incident = told["incident"]
    cards = (
        [incident["root"]] if incident.get("root") else [*incident.get("loudest", ()), *incident.get("exemplars", ())]
    )
    for card in sorted(cards, key=lambda card: str(card["at"]))[:1]:
        said = f"{card.get('author') or 'somebody'}: {card.get('text') or '(text not kept)'}"
        yield _at(card["at"]), "post", said[:200], str(card.get("permalink") or card["post_id"]), None


def _decisions(told: Mapping[str, Any]) -> Iterator[_Row]:
    for line in told["timeline"]:
        where = "" if line["offset"] is None else f"signals[{line['partition']}] @{line['offset']}"
        tell = f" ({TellReason(line['tell']).words})" if line.get("tell") is not None else ""
        yield _at(line["at"]), line["kind"], line["because"] + tell, where, line.get("took_seconds")


def _deliveries(told: Mapping[str, Any]) -> Iterator[_Row]:
    for delivery in told["deliveries"]:
        for attempt in delivery["attempts"]:
            status = f" {attempt['status']}" if attempt["status"] is not None else ""
            why = f"{delivery['endpoint']}: {attempt['outcome']}{status}"
            what = delivery["type"].partition(".")[2]
            yield _at(attempt["begun_at"]), f"sent {what}", why, delivery["id"][:12], attempt["seconds"]


def _steps(told: Mapping[str, Any]) -> Iterator[_Row]:
    for step in told["steps"]:
        if step["state"] == StepState.WAITING and step["due_at"] is not None:
            targets = ", ".join(step.get("targets") or step.get("endpoints") or ())
            yield _at(step["due_at"]), "next", f"step {step['number'] + 1} will tell {targets}", "", None


def _rings(told: Mapping[str, Any]) -> Iterator[_Row]:
    for ring in told.get("rings", ()):
        yield _at(ring["due_at"]), "next", f"rings {ring['who']} by {ring['method']}", "", None


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
