"""An explanation as lines in the order of time: from the first post to the pager. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerter.states import StepState, TellReason


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
    found = sorted([*_posts(told), *_decisions(told), *_deliveries(told), *_steps(told)], key=lambda pair: pair[0])
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


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
