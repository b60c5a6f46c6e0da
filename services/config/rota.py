"""Who works when, as the configuration file says it: responders, schedules with their layers, and opening hours.

Times of day and hand-offs are what the clocks on the wall show in the IANA zone of the schedule, or of the layer if it has its
own, never offsets or durations: a shift from 22:00 to 06:00 begins and ends at these times also in the two nights in which the
clocks change.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, NaiveDatetime, PlainSerializer, model_validator

from services.config.section import Section, Slug, Words

DAY_MINUTES: Final = 24 * 60
_TIME_OF_DAY: Final = re.compile(r"^([01]?\d|2[0-4]):([0-5]\d)$")
ALL: Final = "all"
"""The target that stands for every endpoint."""
OWNER: Final = "owner"
"""The target that stands for the person or team who answers for the account in question."""


def _minutes(value: Any) -> Any:
    """A bare number is refused: 8 could be meant as eight o'clock, and would be eight minutes past midnight."""
    match = _TIME_OF_DAY.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a time of day like "08:30"; the end of the day is "24:00"')
    return int(match[1]) * 60 + int(match[2])


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _zone(value: Any) -> Any:
    if isinstance(value, str):
        try:
            zone_of(value)
        except (ValueError, OSError, KeyError):
            raise ValueError("not a zone of the IANA database; Europe/Berlin is one") from None
    return value


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    return ZoneInfo(name)


TimeOfDay = Annotated[
    int,
    BeforeValidator(_minutes, json_schema_input_type=Annotated[str, Field(pattern=_TIME_OF_DAY.pattern)]),
    Field(ge=0, le=DAY_MINUTES),
    PlainSerializer(_clock, when_used="json"),
]
"""Minutes since midnight; written "08:30"."""
Zone = Annotated[str, BeforeValidator(_zone), Field(max_length=64, description="IANA name, such as Europe/Berlin")]
Target = Annotated[
    str,
    Field(
        pattern=r"^((responder|schedule):)?[a-z0-9][a-z0-9_-]{0,63}$",
        description="an endpoint's name, `all`, `owner` (of the account), `responder:NAME` or `schedule:NAME`",
    ),
]


class Day(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


DAYS: Final = tuple(Day)


class Window(Section):
    """A time of the week. One that ends at or before its beginning ends on the next day."""

    days: tuple[Day, ...] = Field(DAYS, min_length=1, max_length=7, description="those on which it begins")
    begins: TimeOfDay = 0
    ends: TimeOfDay = DAY_MINUTES

    @property
    def minutes(self) -> int:
        return self.ends - self.begins + (DAY_MINUTES if self.ends <= self.begins else 0)


class Urgency(StrEnum):
    """Which of a person's notification rules count for an incident; its severity decides."""

    URGENT = "urgent"
    CALM = "calm"


class NotificationRule(Section):
    """One message to a person who was paged and has not answered."""

    after_minutes: Annotated[float, Field(ge=0, le=DAY_MINUTES)] = Field(0, description="counted from the page")
    method: Slug = Field(description="one of the responder's `methods`")


Rules = Annotated[tuple[NotificationRule, ...], Field(max_length=20)]


class NotificationRules(Section):
    """By which methods a person is told, and when, until somebody acknowledges. Without rules for an urgency the methods
    are tried in their order, the next one only if the one before fails."""

    urgent: Rules = Field((), description="for urgent incidents, in the order of time; the first is at 0 minutes")
    calm: Rules = Field((), description="for all others")

    @model_validator(mode="after")
    def _ordered(self) -> NotificationRules:
        for urgency in Urgency:
            minutes = [rule.after_minutes for rule in self.of(urgency)]
            if minutes and minutes[0] != 0:
                raise ValueError(
                    f"the first rule of `{urgency}` is at {minutes[0]:g} minutes and must be at 0: who is paged hears of it "
                    "at once; a wait belongs into the policy's step"
                )
            if minutes != sorted(minutes):
                raise ValueError(f"`after_minutes` of `{urgency}` must not go back: they count from the page")
        return self

    def of(self, urgency: Urgency) -> tuple[NotificationRule, ...]:
        return self.urgent if urgency is Urgency.URGENT else self.calm


Identity = Annotated[
    str,
    Field(
        pattern=r"^(sms:\+[0-9]{6,15}|(telegram|slack|pagerduty):[A-Za-z0-9_-]{1,64})$",
        description="`sms:` and a number as `+447700900123`, or `telegram:`, `slack:` or `pagerduty:` and the user's id there",
    ),
]


class Responder(Section):
    """A person, and how to reach them: names of endpoints, in the order in which they are tried."""

    id: Slug
    name: Words | None = None
    methods: tuple[Slug, ...] = Field(min_length=1, max_length=10, description="endpoints, the first one first")
    notify: NotificationRules = Field(
        NotificationRules(), description="when this person is told by which method, until somebody acknowledges"
    )
    digest: Slug | None = Field(
        None, description="the endpoint for what can wait, such as overdue answers; the first method without it"
    )
    zone: Zone | None = Field(
        None,
        description="where they live: a day of their absence begins and ends there (UTC without one), and their pages show the "
        "times of this zone, unless they choose another one there",
    )

    known_as: tuple[Identity, ...] = Field(
        (), max_length=20, description="who they are elsewhere, so that what they do there is done in their name here"
    )

    @model_validator(mode="after")
    def _by_their_methods(self) -> Responder:
        for urgency in Urgency:
            for rule in self.notify.of(urgency):
                if rule.method not in self.methods:
                    raise ValueError(
                        f"`notify.{urgency}` names {rule.method!r}, which is none of `methods`: {', '.join(self.methods)}"
                    )
        return self

    @property
    def called(self) -> str:
        return self.name or self.id


class Rotation(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"
    CUSTOM = "custom"


_HOURS: Final = {Rotation.DAILY: 24, Rotation.WEEKLY: 7 * 24}


class Layer(Section):
    """Responders in turn. A layer stands above those before it: where it has somebody, they are on call."""

    id: Slug
    zone: Zone | None = Field(
        None, description="whose clocks the layer's times mean, to follow the sun; the schedule's zone without it"
    )
    rotation: Rotation
    shift_hours: Annotated[int, Field(ge=1, le=366 * 24)] | None = Field(
        None, description="with `rotation: custom`: hours from one hand-off to the next, by the clock on the wall"
    )
    begins: NaiveDatetime = Field(description="the first hand-off, by the clock on the wall in the layer's zone")
    ends: NaiveDatetime | None = None
    responders: tuple[Slug, ...] = Field(min_length=1, max_length=500, description="in the order of their turns")
    only: tuple[Window, ...] = Field((), max_length=50, description="when this layer counts; empty: always")

    @model_validator(mode="after")
    def _whole(self) -> Layer:
        if (self.rotation is Rotation.CUSTOM) != (self.shift_hours is not None):
            raise ValueError("`shift_hours` belongs to `rotation: custom`, and to it alone")
        if self.ends is not None and self.ends <= self.begins:
            raise ValueError("`ends` is not after `begins`")
        return self

    @property
    def shift(self) -> timedelta:
        """The time from one hand-off to the next, by the clocks on the wall."""
        return timedelta(hours=self.shift_hours or _HOURS[self.rotation])


class Schedule(Section):
    id: Slug
    description: str = Field("", max_length=500)
    zone: Zone
    layers: tuple[Layer, ...] = Field(min_length=1, max_length=20)


class Promise(Section):
    """How soon a complaint or a question is answered, from whomever it comes."""

    minutes: Annotated[float, Field(ge=1, le=14 * DAY_MINUTES)] = Field(60, description="of opening hours")
    hours: tuple[Window, ...] = Field((), max_length=50, description="opening hours; empty: around the clock")
    zone: Zone = "UTC"
    unread: bool = Field(
        True,
        description="posts that name the brand and could not be read have a clock, too; all are listed as not read",
    )
