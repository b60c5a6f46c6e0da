"""Decides what silences, campaign mutes and quiet hours hold back. Pure; every decision has its reason.

Nothing here ever holds back severity 1. A silence covers what its matchers match. A mute covers volume but never mood,
since a campaign explains many posts but no anger. In quiet hours an incident counts as one severity milder, and the
mildest wait. An incident that is held back is opened and updated all the same, and reconsidered when the reason ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Final

from pydantic import Field as PydanticField
from pydantic import StringConstraints

from alerter.incidents.record import IncidentRecord
from alerter.oncall.wallclock import Span, open_spans
from alerter.rules.severity import MILDEST, WORST
from services.config.quiet_hours import QuietHours
from services.config.rota import zone_of
from services.config.section import Section
from services.contracts.incident import Held, HeldBy
from services.contracts.language_tags import is_language, language
from services.contracts.scales import sev

LOOK: Final = timedelta(days=8)
"""How far back and ahead quiet hours are unrolled: windows repeat every week."""


class Covers(StrEnum):
    """ALL: a silence covers all that its matchers match. VOLUME: a mute covers, of that, what many posts alone explain."""

    ALL = "all"
    VOLUME = "volume"


class Field(StrEnum):
    """The fields of an incident that a matcher can compare."""

    BRAND = "brand"
    ACCOUNT = "account"
    NETWORK = "network"
    LANGUAGE = "language"
    STORY = "story"
    INCIDENT = "incident"
    RULE = "rule"
    SEVERITY = "severity"
    KIND = "kind"


class Matcher(Section):
    """Matches if the incident has one of these values in the field or, with `negate`, none. `*` matches anything."""

    field: Field
    values: tuple[Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00]+$")], ...] = (
        PydanticField(min_length=1, max_length=100)
    )
    negate: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence or a mute, in force from `starts_at` to before `ends_at`."""

    id: str
    covers: Covers
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str
    created_at: datetime
    version: int = 1
    changed_at: datetime | None = None
    changed_by: str | None = None

    def in_force(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at

    @property
    def brands(self) -> tuple[str, ...]:
        """The brands that it is limited to; empty if it may cover any brand."""
        exact = [m.values for m in self.matchers if m.field is Field.BRAND and not m.negate]
        plain = [values for values in exact if not any("*" in value for value in values)]
        return plain[0] if plain else ()


def held(
    record: IncidentRecord, silences: Sequence[Silence], quiet_hours: Sequence[QuietHours], now: datetime
) -> Held | None:
    """Returns why nobody is told of the incident now, and until when, or `None` if nothing holds it back."""
    if record.ended or record.incident.severity == WORST or record.asked is not None:
        return None  # a person who pages others by hand knows what is silenced
    covering = [s for s in silences if s.in_force(now) and covers(s, record)]
    if covering:
        last = max(covering, key=lambda s: (s.ends_at, s.id))
        kind = HeldBy.SILENCE if last.covers is Covers.ALL else HeldBy.MUTE
        what = "silence" if kind is HeldBy.SILENCE else "campaign mute (volume, not mood)"
        comment = f": {last.comment}" if last.comment else ""
        reason = f"{what} by {last.author} until {last.ends_at:%Y-%m-%d %H:%M} UTC{comment}"
        return Held(by=kind, name=last.id, until=last.ends_at, reason=reason)
    return _by_quiet_hours(record, quiet_hours, now)


def covers(silence: Silence, record: IncidentRecord) -> bool:
    """Returns True if every matcher matches and, for a mute, there is nothing to see but volume."""
    facts = facts_of(record)
    matched = all(matches(matcher, facts[matcher.field]) for matcher in silence.matchers)
    return matched and (silence.covers is Covers.ALL or volume_alone(record))


def matches(matcher: Matcher, found: Sequence[str]) -> bool:
    alike = _same_language if matcher.field is Field.LANGUAGE else _alike
    hit = any(alike(value, wanted) for value in found for wanted in matcher.values)
    return hit is not matcher.negate


def _alike(value: str, wanted: str) -> bool:
    return fnmatchcase(value.casefold(), _literal(wanted))


def _same_language(value: str, wanted: str) -> bool:
    return _alike(value, wanted) if "*" in wanted else is_language(value, wanted)


def _literal(wanted: str) -> str:
    """Returns the value as a pattern in which only `*` is special."""
    return "".join(f"[{c}]" if c in "[?" else c for c in wanted.casefold())


def facts_of(record: IncidentRecord) -> dict[Field, tuple[str, ...]]:
    incident, cards = record.incident, record.cards.every()
    return {
        Field.BRAND: (incident.brand,),
        Field.ACCOUNT: tuple(card.account for card in cards if card.account is not None),
        Field.NETWORK: tuple(card.network for card in cards),
        Field.LANGUAGE: tuple(tag for card in cards if (tag := language(card.language)) is not None),
        Field.STORY: (incident.story,),
        Field.INCIDENT: (incident.id,),
        Field.RULE: (incident.rule,),
        Field.SEVERITY: (str(incident.severity),),
        Field.KIND: kinds(record),
    }


def kinds(record: IncidentRecord) -> tuple[str, ...]:
    """Returns what the incident is made of: forecast, surge, complaint, storm."""
    made = {
        "forecast": bool(record.facets),
        "surge": record.surge is not None and not record.storm,
        "complaint": record.complaint_severity is not None,
        "storm": record.storm > 0,
    }
    return tuple(kind for kind, there in made.items() if there)


def volume_alone(record: IncidentRecord) -> bool:
    """Returns True if there is nothing to see but many posts: no complaint, no negative root, no angry audience.

    Returns False if the mood is unknown, because a mute must not cover what nobody could read.
    """
    surge = record.surge
    if record.complaint_severity is not None or record.storm:
        return False
    parts = [facet.volume for facet in record.facets.values()]
    if surge is not None and not surge.ended:
        parts.append(surge.volume)
    return bool(parts) and all(parts)


def _by_quiet_hours(record: IncidentRecord, quiet_hours: Sequence[QuietHours], now: datetime) -> Held | None:
    incident = record.incident
    lowered = min(MILDEST, incident.severity + 1)
    found: list[tuple[datetime, QuietHours]] = []
    for hours in quiet_hours:
        if (hours.brands and incident.brand not in hours.brands) or lowered < hours.holds_from:
            continue
        span = quiet_now(hours, now)
        if span is not None:
            found.append((span.ends, hours))
    if not found:
        return None
    until, hours = max(found, key=lambda pair: pair[0])
    local = until.astimezone(zone_of(hours.zone))
    reason = (
        f"quiet hours until {local:%H:%M} {hours.zone}: {sev(incident.severity)} counts as {sev(lowered)} and waits"
    )
    return Held(by=HeldBy.QUIET_HOURS, name=hours.id, until=until, reason=reason)


def quiet_now(hours: QuietHours, now: datetime) -> Span | None:
    """Returns the span of quiet hours at this time, or `None`."""
    spans = open_spans(hours.windows, zone_of(hours.zone), now - LOOK, now + LOOK)
    return next((span for span in spans if span.begins <= now < span.ends), None)
