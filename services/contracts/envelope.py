"""What stands around an event on the wire, and which events there are."""

from __future__ import annotations

from typing import Final, NamedTuple

from services.contracts.base import Event, EventId
from services.contracts.incident import IncidentChanged
from services.contracts.post import (
    AuthorChanged,
    PostDeleted,
    PostObserved,
    PostPlaced,
    PostVisibility,
    SourceCoverage,
    StoryLinked,
)
from services.contracts.signal import (
    BrandHistory,
    BrandSurge,
    BrandVolume,
    CascadeForecast,
    PostAnswered,
    PostAsked,
    PostFlagged,
    PostNegative,
    PostRedacted,
    PostUnread,
    WatchRequested,
)
from services.contracts.stage import StageMoved

EVENTS: Final[tuple[type[Event], ...]] = (
    PostObserved,
    PostPlaced,
    PostDeleted,
    PostVisibility,
    AuthorChanged,
    SourceCoverage,
    StoryLinked,
    PostNegative,
    PostAsked,
    PostFlagged,
    PostUnread,
    PostAnswered,
    PostRedacted,
    CascadeForecast,
    BrandSurge,
    BrandVolume,
    BrandHistory,
    WatchRequested,
    StageMoved,
    IncidentChanged,
)
BY_TYPE: Final = {event.TYPE: event for event in EVENTS}


class Envelope(NamedTuple):
    """An event and its id. On the wire: `{"type", "version", "id", "data"}`, in this order."""

    id: EventId
    event: Event
