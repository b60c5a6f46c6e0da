"""An incident and what only we need to know about it; what everybody reads is derived from that here. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from alerter.incidents import words
from alerter.incidents.cards import Cards
from alerter.rules.conditions import LEVEL_RANK
from alerter.states import TellReason
from services.config.model import Policy
from services.contracts.base import BrandId, ConversationId, Part, StoryId, Time, event_id
from services.contracts.incident import Change, Incident, Outlook
from services.contracts.signal import CascadeForecast, Level


def incident_id(brand: BrandId, story: StoryId, ordinal: int) -> str:
    return event_id("incident", brand, story, ordinal)


class Facet(Part):
    """The newest forecast of one conversation of the story."""

    number: int
    at: Time
    severity: int
    words: str
    outlook: Outlook
    begins: Time | None = None
    rate_60m: float = 0.0
    curve: tuple[tuple[float, int], ...] = ()
    """What the console draws: (seconds since `begins`, engagements so far), at most 64 points."""
    volume: bool = False
    """The mood is known, and fine: there is nothing in it but many posts."""


class Surging(Part):
    """The surge that is, or was, part of it."""

    begins: Time
    at: Time
    severity: int
    words: str
    ended: bool = False
    volume: bool = False


class Told(Part):
    """What people heard last; only what is worse than this is told again."""

    severity: int
    rank: int
    high: float | None
    at: Time


class AnswerTerms(Part):
    """What the brand asks of itself, frozen when the incident opens: minutes from a page to an answer, minutes within which
    it promises one, minutes after the end in which only what is worse opens its story again."""

    usual_answer_minutes: float = 0
    promise_minutes: float | None = None
    cool_down_minutes: float = 0


class IncidentRecord(Part):
    """An incident and what only we need to know about it."""

    incident: Incident
    ordinal: int
    brand_name: str
    policy: Policy
    cards: Cards
    told: Told
    touched_at: Time
    facets: dict[ConversationId, Facet] = {}  # noqa: RUF012 - pydantic copies it
    surge: Surging | None = None
    complaint: int | None = None
    complaint_severity: int | None = None
    answered_at: Time | None = None
    crossed_at: Time | None = None
    told_at: Time | None = None
    """When somebody heard of it first."""
    ended_at: Time | None = None
    floor: int | None = None
    """At least this severe, whatever the signals say: a rule said so."""
    storm: int = 0
    """Incidents that it stands for, since their brand's page budget was used up."""
    peak_severity: int = 4
    peak_rank: int = -1
    """The worst it ever was."""
    terms: AnswerTerms = AnswerTerms()
    eased_at: Time | None = None
    by_hand: bool = False
    acted: bool = False
    """Somebody did something about it."""
    audience: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return self.incident.state.is_over

    def with_incident(self, **changes: Any) -> IncidentRecord:
        """The record with these fields of its public part changed, and nothing derived anew."""
        return self.model_copy(update={"incident": self.incident.model_copy(update=changes)})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline. `kind` is of a closed set: the changes, and the signals' short names."""

    kind: str
    because: str
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What is published, and why people are told of it or are not; `person` is told first of all."""

    change: Change
    because: str
    tell: TellReason
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """The incident as it is next. Whether people hear of it is not decided yet: `telling.decide` does that, for all of them.

    `message` is what is to be said whatever the incident came to; without it, that depends on what became of the incident.
    `note` is added to what is said, or published by itself. The last of `entries` says what happened. `halts` cancels the
    step of the policy that waits, `resumes_at` lets the policy go on where it was, then.
    """

    record: IncidentRecord
    entries: tuple[Entry, ...] = ()
    message: Message | None = None
    note: str | None = None
    halts: bool = False
    resumes_at: datetime | None = None


class Story(NamedTuple):
    """What is known of a story: whose incident it is in, how many it has opened itself, its worst complaint."""

    incident: str | None = None
    openings: int = 0
    complaint: int | None = None


def outlook(forecast: CascadeForecast) -> Outlook:
    """The forecast, in short."""
    return Outlook(
        level=forecast.level,
        probability=forecast.probability,
        final_size=forecast.final_size,
        line=forecast.line,
        observed=forecast.evidence.engagements,
        reach=forecast.evidence.reach,
        crossing=forecast.crossing,
        crossed_at=forecast.crossed_at,
        negative_share=forecast.mood.negative_share if forecast.mood else None,
        model=forecast.model,
    )


def refresh(record: IncidentRecord, changes: dict[str, Any]) -> IncidentRecord:
    """With the public part derived anew from what is known."""
    facets = sorted(record.facets.values(), key=lambda f: (-LEVEL_RANK[f.outlook.level], -f.outlook.probability, f.at))
    outlook = facets[0].outlook if facets else None
    rising = [f.outlook for f in facets if f.outlook.level not in (Level.EASING, Level.CROSSED)]
    crossings = [o.crossing.earliest for o in rising if o.crossing is not None and o.crossed_at is None]
    crossed = outlook is not None and outlook.level is Level.CROSSED
    answer_by, answer_because = (None, None) if crossed else _answer_by(record, min(crossings, default=None))
    surging = record.surge is not None and not record.surge.ended
    graded = [f.severity for f in facets]
    if surging and record.surge is not None:
        graded.append(record.surge.severity)
    if record.complaint_severity is not None:
        graded.append(record.complaint_severity)
    if record.floor is not None:
        graded.append(record.floor)
    kept = record.cards
    shown = next(iter(kept.every()), None)
    incident = record.incident.model_copy(
        update={
            "severity": min(graded, default=record.incident.severity),
            "title": words.title(
                record.brand_name, outlook, shown.network if shown else None, record.surge is not None, record.storm
            ),
            "outlook": outlook,
            "answer_by": answer_by,
            "answer_because": answer_because,
            "root": kept.root,
            "loudest": kept.loudest,
            "exemplars": kept.exemplars,
            **changes,
        }
    )
    peak = {
        "peak_severity": min(record.peak_severity, incident.severity),
        "peak_rank": max(record.peak_rank, LEVEL_RANK[outlook.level] if outlook is not None else -1),
    }
    return record.model_copy(update={"incident": incident, **peak})


def _answer_by(record: IncidentRecord, crossing: datetime | None) -> tuple[datetime | None, str | None]:
    """By when an answer helps, and why then: so long before it may cross as an answer usually takes, or as the brand promised
    to those who make up a surge; whichever is first, but never before anybody could know of it."""
    terms, surge = record.terms, record.surge
    found: list[tuple[datetime, str]] = []
    if crossing is not None:
        usual = terms.usual_answer_minutes
        why = f"from {crossing:%H:%M} UTC on it may cross the line"
        took = f", and an answer usually takes {usual:g} minutes" if usual else ""
        found.append((crossing - timedelta(minutes=usual), why + took))
    if surge is not None and not surge.ended and terms.promise_minutes is not None:
        why = f"the surge began at {surge.begins:%H:%M} UTC, and an answer is promised within {terms.promise_minutes:g} minutes"
        found.append((surge.begins + timedelta(minutes=terms.promise_minutes), why))
    if not found:
        return None, None
    moment, why = min(found)
    return max(moment, record.incident.opened_at), why


def tell(record: IncidentRecord, endpoints: tuple[str, ...], now: datetime) -> IncidentRecord:
    """These endpoints hear of it from now on."""
    audience = tuple(dict.fromkeys((*record.audience, *endpoints)))
    told_at = record.told_at or (now if endpoints else None)
    return record.model_copy(update={"audience": audience, "told_at": told_at})


def heard(record: IncidentRecord, now: datetime) -> Told:
    outlook = record.incident.outlook
    return Told(
        severity=record.incident.severity,
        rank=LEVEL_RANK[outlook.level] if outlook else -1,
        high=outlook.final_size.high if outlook else None,
        at=now,
    )


def worse(record: IncidentRecord) -> list[str]:
    """How it is worse than what people heard last."""
    told, incident = record.told, record.incident
    outlook, found = incident.outlook, []
    if incident.severity < told.severity:
        found.append(f"severity rose from {told.severity} to {incident.severity}")
    if outlook is not None:
        if LEVEL_RANK[outlook.level] > told.rank:
            found.append(f"the story is {outlook.level.value} now")
        if told.high is not None and outlook.final_size.low > told.high:
            found.append(
                f"it is forecast to go beyond what was told: at least {outlook.final_size.low:,.0f} engagements, "
                f"after at most {told.high:,.0f}"
            )
    return found
