"""Events of `firebreak.incidents`, and what every message about an incident states."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from services.contracts.base import BrandId, Count, Event, Part, Probability, StoryId, Time
from services.contracts.signal import CrossingTime, Interval, Level, Line, PostCard

MAX_LABELS: Final = 20
MAX_NOTES: Final = 20
"""Notes that an incident carries. Its timeline has all of them."""
MAX_NOTE_CHARS: Final = 1000


class IncidentState(StrEnum):
    """PRIOR: forecast; ACTIVE: crossed or surging; EASING; then one of the ends."""

    PRIOR = "prior"
    ACTIVE = "active"
    EASING = "easing"
    RESOLVED = "resolved"
    AVERTED = "averted"
    EXPIRED = "expired"

    @property
    def is_over(self) -> bool:
        """True if this is one of the ends, which an incident leaves only if a person reopens it."""
        return self in (IncidentState.RESOLVED, IncidentState.AVERTED, IncidentState.EXPIRED)


class Change(StrEnum):
    """What happened to an incident; the type of the webhook is `incident.` and this word."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class OutcomeMark(StrEnum):
    """What a person says the alarm was worth. It is kept, and counted."""

    USEFUL = "useful"
    FALSE_ALARM = "false_alarm"
    TOO_LATE = "too_late"


class HeldBy(StrEnum):
    """What may hold an incident back, so that nobody is told for a while. Nothing holds SEV1 back."""

    SILENCE = "silence"
    MUTE = "mute"
    QUIET_HOURS = "quiet_hours"
    PAGE_BUDGET = "page_budget"


class Held(Part):
    """Why nobody is told of an incident now, and until when at most."""

    by: HeldBy
    name: str
    """The silence's id, the storm incident's id, or the quiet hours."""
    until: Time
    reason: str


class Outlook(Part):
    """The newest forecast, in short."""

    level: Level
    probability: Probability
    final_size: Interval
    line: Line
    observed: Count
    reach: Count
    crossing: CrossingTime | None = None
    crossed_at: Time | None = None
    negative_share: Probability | None = None
    model: str


class ExternalId(Part):
    """The ticket about an incident in another system."""

    endpoint: str
    id: str
    """As people know it there."""
    url: str | None = None


class IncidentNote(Part):
    """What somebody wanted the others to know."""

    at: Time
    by: str
    text: str


class Incident(Part):
    """The whole present state of an incident. `sequence` grows with each change, so a late or repeated message is harmless."""

    id: str
    brand: BrandId
    story: StoryId
    sequence: Annotated[int, Field(ge=1)]
    state: IncidentState
    severity: Annotated[int, Field(ge=1, le=4, description="1 to 4; 1, the worst, is SEV1 in words")]
    title: str
    reason: str
    rule: str
    opened_at: Time
    changed_at: Time
    answer_by: Time | None = None
    answer_because: str | None = None
    acknowledged_by: str | None = None
    acknowledged_at: Time | None = None
    acknowledged_until: Time | None = None
    """Then the acknowledgement expires, and the policy goes on."""
    snoozed_by: str | None = None
    snoozed_until: Time | None = None
    comment: str | None = None
    """What the person who acted last wanted the others to know."""
    assigned_to: str | None = None
    root: PostCard | None = None
    driver: PostCard | None = None
    """The reply that drives the story, where that is not the root."""
    loudest: tuple[PostCard, ...] = ()
    exemplars: tuple[PostCard, ...] = ()
    outlook: Outlook | None = None
    held: Held | None = None
    unknown_since: Time | None = None
    """A network of the story is not heard, or was not until lately: that it is quiet there means nothing."""
    unheard: str | None = None
    """The same in words."""
    outcome: OutcomeMark | None = None
    previous: str | None = None
    """The incident of the same story that ended before this one opened."""
    first_step: str | None = None
    """The first step of the playbook."""
    external_ids: tuple[ExternalId, ...] = ()
    labels: tuple[str, ...] = ()
    notes: tuple[IncidentNote, ...] = ()
    """The newest ones, the oldest of them first."""

    @property
    def is_easing(self) -> bool:
        """Whether it goes away by itself: its state says so, or its newest forecast."""
        level = self.outlook.level if self.outlook is not None else None
        return self.state is IncidentState.EASING or level is Level.EASING


class IncidentChanged(Event):
    TYPE: ClassVar[str] = "incident.changed"
    VERSION: ClassVar[int] = 4

    change: Change
    because: str
    """What changed since the last message, in words."""
    incident: Incident
