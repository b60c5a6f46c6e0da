"""The states of everything in the alerter, as closed sets of words. The words are stored, sent and counted.

The states of an incident are in `services.contracts.incident.IncidentState`, because receivers read them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.contracts.incident import HeldBy, IncidentState

ENDED: Final = frozenset(state for state in IncidentState if state.is_over)
"""For queries: `incidents.c.state.in_(ENDED)`."""


class EndpointState(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    """All its retries failed."""
    CANCELLED = "cancelled"
    """Its endpoint was disabled or deleted."""
    SUPERSEDED = "superseded"
    """A newer message about the incident stands for it: it was not sent, and its receiver is told what is."""

    @property
    def is_over(self) -> bool:
        return self is not DeliveryState.PENDING


class AttemptOutcome(StrEnum):
    """How one attempt to deliver ended, or that it has not ended."""

    BEGUN = "begun"
    """It is on its way."""
    UNKNOWN = "unknown"
    """The process ended before it could record how the attempt ended."""
    DELIVERED = "delivered"
    REFUSED = "refused"
    """An answer other than 2xx."""
    GONE = "gone"
    """410: the receiver never wants another message."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"
    """The address is not allowed."""

    @property
    def is_known(self) -> bool:
        """Returns True if the attempt ended and its end was recorded."""
        return self not in (AttemptOutcome.BEGUN, AttemptOutcome.UNKNOWN)


class PageState(StrEnum):
    SENT = "sent"
    ARRIVED = "arrived"
    FAILED = "failed"
    VOID = "void"
    """The page no longer matters: somebody has the incident, or it is over."""


class StepState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    UNTOLD = "untold"
    """It was due and reached nobody. It is looked at again, and its page leaves once somebody can be reached."""
    CANCELLED = "cancelled"


class ClockState(StrEnum):
    """The states of an answer clock."""

    RUNNING = "running"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    """The post was deleted, so that nobody can answer it any more, or edited, so that it needs no answer."""
    LISTED = "listed"
    """It was not read, and has no clock: it only stands in the queue of what a person should look at."""
    EARLY = "early"
    """An answer arrived before the question that it answers."""


class TellReason(StrEnum):
    """Why people are told of a change to an incident, or why not: the label in metrics and the word in the timeline."""

    OPENED = "opened"
    STEP = "step"
    """A step of the policy is due, or a page did not get through."""
    CROSSED = "crossed"
    SURGING = "surging"
    WORSE = "worse"
    """Worse than what people were last told."""
    ENDED = "ended"
    ACTED = "acted"
    """A person took it, or asked another person to."""
    REMINDED = "reminded"
    """An acknowledgement expired, or a snooze is over."""
    EDITED = "edited"
    """The post that it is about takes back what it said."""

    ACKNOWLEDGED = "acknowledged"
    """Not told: somebody has it and looks anyway."""
    SNOOZED = "snoozed"
    """Not told: somebody snoozed it."""
    SILENCE = "silence"
    """Not told: a silence holds it back. The next three are other things that hold incidents back."""
    MUTE = "mute"
    QUIET_HOURS = "quiet_hours"
    PAGE_BUDGET = "page_budget"
    TOLD_RECENTLY = "told_recently"
    """Not told yet: people were told minutes ago, and the next message waits until they have had time to read."""
    NOT_WORSE = "not_worse"
    """Not told: it is no worse than what people know."""
    RECORDED = "recorded"
    """Not told: it is for the record only, such as a snooze, a mark or a deleted post."""

    @property
    def is_told(self) -> bool:
        return self in _TOLD

    @property
    def words(self) -> str:
        """Returns the reason as people read it, such as `told: worse` or `not told: quiet hours`."""
        return f"{'told' if self.is_told else 'not told'}: {self.value.replace('_', ' ')}"

    @classmethod
    def held(cls, by: HeldBy) -> TellReason:
        """Returns the reason for an incident that `by` holds back."""
        return cls(by.value)


_TOLD: Final = frozenset(
    {
        TellReason.OPENED,
        TellReason.STEP,
        TellReason.CROSSED,
        TellReason.SURGING,
        TellReason.WORSE,
        TellReason.ENDED,
        TellReason.ACTED,
        TellReason.REMINDED,
        TellReason.EDITED,
    }
)
