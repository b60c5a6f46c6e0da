"""The incident record: an incident with all that only the alerter needs to know. Derives the public part. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from alerter.incidents import words
from alerter.incidents.cards import Cards
from alerter.incidents.judgements import Regraded, StepDone, graded_by_hand
from alerter.rules.conditions import LEVEL_RANK, level_words
from alerter.rules.severity import PRESSING
from alerter.states import TellReason
from services.config.model import Policy
from services.contracts.base import BrandId, ConversationId, Part, StoryId, Time, event_id
from services.contracts.incident import Change, Incident, IncidentState, Outlook
from services.contracts.scales import sev
from services.contracts.signal import CascadeForecast, Level

UNANSWERED_AFTER: Final = timedelta(minutes=5)
"""After its last step: the time to pick up the phone, before it is said that nobody answered."""


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
    negatives: int = 0
    """How many of its replies and quotes were negative."""
    unheard: bool = False
    """The scorer calls it quiet, but its network was not heard."""


class Surging(Part):
    """The surge that is, or was, part of the incident."""

    begins: Time
    at: Time
    severity: int
    words: str
    ended: bool = False
    volume: bool = False
    observed: int = 0
    """How many negative posts made it up when it was last looked at."""
    networks: tuple[str, ...] = ()
    unheard: bool = False
    """The scorer says that it has ended, but a network was not heard."""
    unread: bool = False
    """It is of posts that could not be read."""


class Told(Part):
    """What people were last told. They are told again only of something worse."""

    severity: int
    rank: int
    high: float | None
    at: Time
    doublings: int = 0
    """How often it had doubled past its line: 1 at twice the line, 2 at four times, ..."""


class AnswerTerms(Part):
    """How fast the brand answers, and when its story may open again. Frozen when the incident opens."""

    usual_answer_minutes: float = 0
    """From a page to an answer, as a rule."""
    promise_minutes: float | None = None
    """Within which the brand promises an answer."""
    cool_down_minutes: float = 0
    """After the end, in which the story opens another incident only if it got worse."""


Measures = tuple[float, float, float, float]
"""Of one conversation: engagements, reach, negative replies and quotes, and where its size is heading."""


class Since(Part):
    """What became of a story after its incident ended, as far as it opened no other one (`reopening`)."""

    sizes: dict[ConversationId, Measures] = {}  # noqa: RUF012 - pydantic copies it
    negatives: int = 0
    """Negative posts that were heard one by one."""


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
    """The severity that its single posts give it: the worst of complaints and of posts that were flagged."""
    topics: tuple[str, ...] = ()
    """What posts of it were flagged for."""
    posts: Literal["complaint", "question", "unread"] | None = None
    """What its single posts are: a complaint says more than a question or a post that could not be read."""
    answered_at: Time | None = None
    crossed_at: Time | None = None
    told_at: Time | None = None
    """When anybody was first told of it."""
    used_up_at: Time | None = None
    """When the last step of its policy was done, while nobody has acted on it since."""
    ended_at: Time | None = None
    floor: int | None = None
    """The mildest severity that it may have, because a rule says so."""
    regraded: Regraded | None = None
    ticks: tuple[StepDone, ...] = ()
    storm: int = 0
    """How many incidents beyond its brand's page budget it stands for; 0 if it is no storm."""
    asked: str | None = None
    """What the person wrote who paged others by hand (`by_hand`); `None` for all that a rule opened."""
    peak_severity: int = 4
    peak_rank: int = -1
    """The highest level that it ever had; `peak_severity` likewise."""
    terms: AnswerTerms = AnswerTerms()
    eased_at: Time | None = None
    recheck_at: Time | None = None
    """When to look whether its networks are heard again: until then nothing is concluded from silence."""
    was_unheard: str | None = None
    """The last gap in what was heard of it, in words."""
    by_hand: bool = False
    resolved_by: str | None = None
    """Who resolved it by hand."""
    earlier: dict[ConversationId, Measures] = {}  # noqa: RUF012 - pydantic copies it
    """The conversations of the story as they were when it opened, if an incident about it had ended before."""
    since: Since = Since()
    acted: bool = False
    """Whether a person acted on it."""
    held_from_outside: bool = False
    """Whether its holder's name was given by a key limited to brands: only people of its brand are told by such a name."""
    asked_until: Time | None = None
    """Until when the person that it is assigned to may take it."""
    audience: tuple[str, ...] = ()
    to_rouse: bool = False
    """It became urgent while it was muted. Once its policy goes on, those whom it paged while it was calm are rung."""

    @property
    def ended(self) -> bool:
        return self.incident.state.is_over

    @property
    def is_pressing(self) -> bool:
        """Whether people are told again and again: it is severe, does not ease, and nobody has it or holds it back."""
        incident = self.incident
        is_free = incident.acknowledged_by is None and incident.snoozed_until is None and incident.held is None
        return incident.severity <= PRESSING and is_free and not incident.is_easing and not self.ended

    def is_unanswered(self, now: datetime) -> bool:
        """Returns True if its policy is used up, people had a while to answer, and nobody did."""
        used_up = self.used_up_at
        return used_up is not None and self.is_pressing and now - used_up >= UNANSWERED_AFTER

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


def leading(record: IncidentRecord) -> Facet | None:
    """Returns the forecast that stands for the story: of the conversation that is nearest to the line, or largest beyond."""

    def place(facet: Facet) -> tuple[int, float, int, datetime]:
        outlook = facet.outlook
        return -LEVEL_RANK[outlook.level], -outlook.probability, -outlook.observed, facet.at

    return min(record.facets.values(), key=place, default=None)


def negatives_of(forecast: CascadeForecast) -> int:
    """Returns how many replies and quotes of the conversation were negative."""
    return round(forecast.mood.negative_share * forecast.mood.scored) if forecast.mood is not None else 0


def refresh(record: IncidentRecord, changes: dict[str, Any]) -> IncidentRecord:
    """Returns the record with its public part derived anew; `changes` are fields of that part and win."""
    facets, front = record.facets.values(), leading(record)
    outlook = front.outlook if front is not None else None
    rising = [f.outlook for f in facets if f.outlook.level not in (Level.EASING, Level.CROSSED)]
    crossings = [o.crossing.earliest for o in rising if o.crossing is not None and o.crossed_at is None]
    state = changes.get("state", record.incident.state)
    crossed = outlook is not None and outlook.level is Level.CROSSED
    # What goes on beyond its line is answered now, and what is over needs no answer: no deadline says anything else.
    crossed = crossed or (state is IncidentState.ACTIVE and record.crossed_at is not None)
    answer_by, answer_because = None, None
    if not crossed and not state.is_over:
        answer_by, answer_because = _answer_by(record, min(crossings, default=None))
    surging = record.surge is not None and not record.surge.ended
    graded = [f.severity for f in facets]
    if surging and record.surge is not None:
        graded.append(record.surge.severity)
    graded += [one for one in (record.complaint_severity, record.floor) if one is not None]
    severity = graded_by_hand(record.regraded, min(graded, default=None), record.incident.severity)
    kept = record.cards
    shown = next(iter(kept.every()), None)
    incident = record.incident.model_copy(
        update={
            "severity": severity,
            "title": words.title(
                record.brand_name,
                outlook,
                shown.network if shown else None,
                record.surge is not None,
                record.storm,
                record.topics,
                record.complaint,
                posts=record.posts if record.surge is None or not record.surge.unread else "unread",
                asked=record.asked,
            ),
            "outlook": outlook,
            "answer_by": answer_by,
            "answer_because": answer_because,
            "root": kept.root,
            "driver": kept.driver,
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


def used_up_by(record: IncidentRecord, number: int, now: datetime) -> IncidentRecord:
    """Returns the record after step `number` of its policy: the last uses it up, and no late page of another changes that."""
    is_last = number + 1 >= record.policy.step_count
    return record.model_copy(update={"used_up_at": record.used_up_at or now}) if is_last else record


def material(before: Told, record: IncidentRecord) -> bool:
    """Returns True if the incident is more severe than what people were told, crossed its line, or doubled past it."""
    outlook = record.incident.outlook
    crossed = outlook is not None and outlook.level is Level.CROSSED and before.rank < LEVEL_RANK[Level.CROSSED]
    return record.incident.severity < before.severity or crossed or doublings(outlook) > before.doublings


def heard(record: IncidentRecord, now: datetime) -> Told:
    """Returns what people know once they are told of the incident as it is."""
    outlook = record.incident.outlook
    return Told(
        severity=record.incident.severity,
        rank=LEVEL_RANK[outlook.level] if outlook else -1,
        high=outlook.final_size.high if outlook else None,
        at=now,
        doublings=doublings(outlook),
    )


def doublings(outlook: Outlook | None) -> int:
    """Returns how often the story has doubled past its line, in engagements or audience."""
    return max(0, math.floor(math.log2(_times_the_line(outlook)))) if outlook is not None else 0


def _times_the_line(outlook: Outlook) -> float:
    sizes = ((outlook.observed, outlook.line.engagements), (outlook.reach, outlook.line.audience))
    return max([1.0, *(size / line for size, line in sizes if line is not None)])


def _beyond(outlook: Outlook) -> str:
    """Returns in words how far the story is beyond its line."""
    count = f"{outlook.observed:,} engagements"
    if outlook.line.audience is not None:
        count += f" and an audience of {outlook.reach:,}"
    times = 2 ** doublings(outlook)
    return f"it has passed {times:,} times its line: {count} (the line is {words.line_words(outlook.line)})"


def worse(record: IncidentRecord) -> list[str]:
    """Returns in words how the incident is worse than what people were last told."""
    told, incident = record.told, record.incident
    outlook, rose = incident.outlook, incident.severity < told.severity
    found = [f"it rose from {sev(told.severity)} to {sev(incident.severity)}"] if rose else []
    if outlook is not None:
        if LEVEL_RANK[outlook.level] > told.rank:
            found.append(f"it {level_words(outlook.level)}")
        if told.high is not None and outlook.final_size.low > told.high:
            found.append(
                f"the forecast has outgrown what people were told: at least {outlook.final_size.low:,.0f} engagements, "
                f"before it was at most {told.high:,.0f}"
            )
        if doublings(outlook) > told.doublings:
            found.append(_beyond(outlook))
    return found
