"""The incident record: an incident with all that only the alerter needs to know. Derives the public part. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from alerter.incidents import words
from alerter.incidents.cards import Cards
from alerter.rules.conditions import LEVEL_RANK, level_words
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
    """There is nothing to see but many posts: the mood is known, and fine."""


class Surging(Part):
    """The surge that is, or was, part of the incident."""

    begins: Time
    at: Time
    severity: int
    words: str
    ended: bool = False
    volume: bool = False


class Told(Part):
    """What people were last told. They are told again only of something worse."""

    severity: int
    rank: int
    high: float | None
    at: Time


class AnswerTerms(Part):
    """How fast the brand answers, and when its story may open again. Frozen when the incident opens."""

    usual_answer_minutes: float = 0
    """From a page to an answer, as a rule."""
    promise_minutes: float | None = None
    """Within which the brand promises an answer."""
    cool_down_minutes: float = 0
    """After the end, in which the story opens another incident only if it got worse."""


class IncidentRecord(Part):
    """An incident with all that only the alerter needs to know about it."""

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
    """When anybody was first told of it."""
    ended_at: Time | None = None
    floor: int | None = None
    """The mildest severity that it may have, because a rule says so."""
    storm: int = 0
    """How many incidents beyond its brand's page budget it stands for; 0 if it is no storm."""
    peak_severity: int = 4
    peak_rank: int = -1
    """The highest level that it ever had; `peak_severity` likewise."""
    terms: AnswerTerms = AnswerTerms()
    eased_at: Time | None = None
    by_hand: bool = False
    acted: bool = False
    """Whether a person acted on it."""
    audience: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return self.incident.state.is_over

    def with_incident(self, **changes: Any) -> IncidentRecord:
        """Returns the record with these fields of its public part changed, and nothing derived anew."""
        return self.model_copy(update={"incident": self.incident.model_copy(update=changes)})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline. `kind` comes from a closed set: the changes, and the short names of signals."""

    kind: str
    because: str
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What is published about a change, and why people are told of it or not. `person` is told before all others."""

    change: Change
    because: str
    tell: TellReason
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """The incident as it is next, and what follows. Whether people are told is decided later, in `telling.decide`.

    `message` is published as it is; without one, `telling` finds the words if the change is worth a message. `note` is
    added to the message, or published alone. The last of `entries` says what happened. `halts` cancels the waiting step
    of the policy; at `resumes_at` the policy resumes where it stopped.
    """

    record: IncidentRecord
    entries: tuple[Entry, ...] = ()
    message: Message | None = None
    note: str | None = None
    halts: bool = False
    resumes_at: datetime | None = None


class Story(NamedTuple):
    """What is known about a story: the incident that it belongs to, how many incidents it has opened itself, and the
    severity of its worst complaint."""

    incident: str | None = None
    openings: int = 0
    complaint: int | None = None


def outlook(forecast: CascadeForecast) -> Outlook:
    """Returns the forecast in short."""
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
    """Returns the record with its public part derived anew; `changes` are fields of that part and win."""
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
    """Returns the answer-by time and the reason for it, or two `None` if there is no deadline.

    A deadline is the earliest crossing, less the time that an answer usually takes, or the brand's promise to those who
    make up a surge. The earlier one counts, but never before the incident opened.
    """
    terms, surge = record.terms, record.surge
    found: list[tuple[datetime, str]] = []
    if crossing is not None:
        usual = terms.usual_answer_minutes
        why = f"it may cross the line as early as {crossing:%H:%M} UTC"
        took = f", and an answer usually takes {usual:g} minutes" if usual else ""
        found.append((crossing - timedelta(minutes=usual), why + took))
    if surge is not None and not surge.ended and terms.promise_minutes is not None:
        promised = f"the brand promises an answer within {terms.promise_minutes:g} minutes"
        why = f"the surge began at {surge.begins:%H:%M} UTC, and {promised}"
        found.append((surge.begins + timedelta(minutes=terms.promise_minutes), why))
    if not found:
        return None, None
    moment, why = min(found)
    return max(moment, record.incident.opened_at), why


def with_audience(record: IncidentRecord, endpoints: tuple[str, ...], now: datetime) -> IncidentRecord:
    """Returns the record with these endpoints in its audience: from now on they are told of changes."""
    audience = tuple(dict.fromkeys((*record.audience, *endpoints)))
    told_at = record.told_at or (now if endpoints else None)
    return record.model_copy(update={"audience": audience, "told_at": told_at})


def heard(record: IncidentRecord, now: datetime) -> Told:
    """Returns what people know once they are told of the incident as it is."""
    outlook = record.incident.outlook
    return Told(
        severity=record.incident.severity,
        rank=LEVEL_RANK[outlook.level] if outlook else -1,
        high=outlook.final_size.high if outlook else None,
        at=now,
    )


def worse(record: IncidentRecord) -> list[str]:
    """Returns in words how the incident is worse than what people were last told."""
    told, incident = record.told, record.incident
    outlook, found = incident.outlook, []
    if incident.severity < told.severity:
        found.append(f"severity rose from {told.severity} to {incident.severity}")
    if outlook is not None:
        if LEVEL_RANK[outlook.level] > told.rank:
            found.append(f"it {level_words(outlook.level)}")
        if told.high is not None and outlook.final_size.low > told.high:
            found.append(
                f"the forecast has outgrown what people were told: at least {outlook.final_size.low:,.0f} engagements, "
                f"before it was at most {told.high:,.0f}"
            )
    return found
