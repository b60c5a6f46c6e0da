"""Judges a night: whether each expectation was met, and in story time who was paged, how long before the line was crossed,
which stories were missed and which pages were false. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.tools.drills.crowd import Night
from services.tools.drills.script import Expectation, Silence


@dataclass(frozen=True, slots=True)
class Received:
    """One verified webhook. `at` is in seconds of the story, `body` as it came."""

    at: float
    endpoint: str
    id: str
    body: Mapping[str, Any]

    @property
    def type(self) -> str:
        return str(self.body.get("type"))

    @property
    def incident(self) -> Mapping[str, Any]:
        found = self.body.get("data", {}).get("incident", self.body.get("data", {}))
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class DrillCheck:
    ok: bool
    what: str


@dataclass(frozen=True, slots=True)
class Page:
    """One story that somebody was told of, or should have been told of. Times are in seconds of the story."""

    story: str
    brand: str
    told: float | None
    crossed: float | None

    @property
    def lead_minutes(self) -> float | None:
        return None if self.told is None or self.crossed is None else (self.crossed - self.told) / 60


@dataclass(frozen=True, slots=True)
class Report:
    checks: Sequence[DrillCheck]
    pages: Sequence[Page]
    messages: int
    told: Sequence[Page] = ()
    """The first message about each story and brand: of a post about two brands people are told twice."""

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def judge(night: Night, received: Sequence[Received]) -> Report:
    received = _first_of_each(received)
    checks = [_expected(night, one, received) for one in night.script.expect]
    checks += [_silent(night, one, received) for one in night.script.never]
    return Report(checks, _pages(night, received), len(received), _told(night, received))


def _told(night: Night, received: Sequence[Received]) -> list[Page]:
    found: dict[tuple[str, str], Page] = {}
    crossed = {night.story_of(root): at for root, at in sorted(night.crossings().items(), key=lambda pair: -pair[1])}
    for one in received:
        story, brand = str(one.incident.get("story")), str(one.incident.get("brand"))
        if one.type.startswith("incident."):
            found.setdefault((story, brand), Page(story, brand, one.at, crossed.get(story)))
    return list(found.values())


def _first_of_each(received: Sequence[Received]) -> list[Received]:
    """A repeated delivery carries the same id and endpoint: it counts once, as a receiver would count it."""
    seen: dict[tuple[str, str], Received] = {}
    for one in sorted(received, key=lambda r: r.at):
        seen.setdefault((one.endpoint, one.id), one)
    return list(seen.values())


def _about(night: Night, received: Sequence[Received], want: Expectation | Silence) -> list[Received]:
    story = None if want.about is None else night.story(want.about)
    return [
        one
        for one in received
        if one.incident.get("brand") == want.brand
        and (story is None or one.incident.get("story") == story)
        and (want.endpoint is None or one.endpoint == want.endpoint)
        and (one.type == want.type or one.type.startswith(f"{want.type}."))
    ]


def _subject(want: Expectation | Silence) -> str:
    about = f" about {want.about}" if want.about else ""
    where = f" at {want.endpoint}" if want.endpoint else ""
    return f"{want.brand}{about}{where}" + ("" if want.type == "incident" else f" ({want.type})")


def _expected(night: Night, want: Expectation, received: Sequence[Received]) -> DrillCheck:
    subject, messages = _subject(want), _about(night, received, want)
    if not messages:
        return DrillCheck(False, f"{subject}: nobody was told")
    first = messages[0]
    faults = []
    if want.told_by is not None and first.at > want.told_by:
        faults.append(f"told after {_clock(first.at)}, wanted by {_clock(want.told_by)}")
    if want.told_from is not None and first.at < want.told_from:
        faults.append(f"told after {_clock(first.at)}, wanted not before {_clock(want.told_from)}")
    if want.before_the_line:
        crossed = [at for root, at in night.crossings().items() if night.story_of(root) == first.incident.get("story")]
        if crossed and first.at >= min(crossed):
            faults.append(f"told after {_clock(first.at)}, the line was crossed at {_clock(min(crossed))}")
    worst = min(int(one.incident.get("severity", 4)) for one in messages)
    if worst > want.severity_at_most:
        faults.append(f"severity {worst}, wanted {want.severity_at_most} or worse")
    if worst < want.never_worse_than:
        faults.append(f"severity {worst}, wanted no worse than {want.never_worse_than}")
    text = json.dumps([one.body for one in messages], ensure_ascii=False)
    faults += [f"no message says {words!r}" for words in want.says if words not in text]
    each = max(sum(one.endpoint == endpoint for one in messages) for endpoint in {one.endpoint for one in messages})
    if want.at_most is not None and each > want.at_most:
        faults.append(f"{each} messages to one endpoint, wanted at most {want.at_most}")
    if faults:
        return DrillCheck(False, f"{subject}: {'; '.join(faults)}")
    return DrillCheck(
        True, f"{subject}: told after {_clock(first.at)}, severity {worst}, {each} messages to one endpoint"
    )


def _silent(night: Night, want: Silence, received: Sequence[Received]) -> DrillCheck:
    subject, messages = _subject(want), _about(night, received, want)
    if messages:
        return DrillCheck(False, f"{subject}: told after {_clock(messages[0].at)}, but nobody should be")
    return DrillCheck(True, f"{subject}: nobody was told, as it should be")


def _pages(night: Night, received: Sequence[Received]) -> list[Page]:
    crossed: dict[str, float] = {}
    for root, at in night.crossings().items():
        story = night.story_of(root)
        crossed[story] = min(at, crossed.get(story, at))
    told: dict[str, Received] = {}
    for one in received:
        if one.type == "incident.opened":
            told.setdefault(str(one.incident.get("story")), one)
    return [
        Page(
            story=story,
            brand=str(told[story].incident.get("brand")) if story in told else "",
            told=told[story].at if story in told else None,
            crossed=crossed.get(story),
        )
        for story in sorted({*crossed, *told}, key=lambda s: told[s].at if s in told else crossed[s])
    ]


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}h{int(seconds % 3600 // 60):02d}m{int(seconds % 60):02d}s"
