"""What the API says of people, schedules and policies: each with where it was declared, by whom and when."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from alerter.api.oncall import ShiftOut
from alerter.api.schemas import Shape


class DeclaredIn(StrEnum):
    """FILE: in the configuration file, and read-only here. HERE: at run time, in the console or through the API."""

    FILE = "file"
    HERE = "here"


class DeclaredItem(Shape):
    """A responder, a schedule or a policy, as it is in force."""

    id: str
    declared_in: DeclaredIn
    file: str | None = Field(None, description="the file that declares it, where it is to be changed")
    version: int | None = Field(None, description="counts its changes at run time; null for one of the file")
    changed_at: datetime | None = None
    changed_by: str | None = Field(None, description="the person who made this version, or else the key")
    holds_from: datetime | None = Field(
        None,
        description="of a schedule: the hand-over at which its newest version takes effect, if that is still to come",
    )
    also_here: bool = Field(
        False, description="one of this id was declared at run time, too; it counts for nothing while the file has one"
    )
    document: dict[str, JsonValue] = Field(description="the item as the file would hold it")


class DeclaredItems(Shape):
    items: tuple[DeclaredItem, ...]


class ItemVersion(Shape):
    version: int
    changed_at: datetime
    changed_by: str
    document: dict[str, JsonValue] | None = Field(description="null: it was deleted")


class ItemVersions(Shape):
    """Newest first. What the file said is not among them: that is for your version control."""

    items: tuple[ItemVersion, ...]


class StepPreview(Shape):
    number: int = Field(description="from 0")
    after_minutes: float
    reaches: tuple[str, ...] = Field(description="whom it would tell at this moment")
    nobody: tuple[str, ...] = Field(description="why its other targets would reach nobody")


class Preview(Shape):
    """What would be if it were saved. Nothing was."""

    document: dict[str, JsonValue]
    holds_from: datetime | None = Field(None, description="of a schedule: when it would take effect")
    shifts: tuple[ShiftOut, ...] = Field((), description="of a schedule: who would be on call in the next 7 days")
    steps: tuple[StepPreview, ...] = Field((), description="of a policy")
    findings: tuple[str, ...] = Field(
        (), description="what would be wrong that is not wrong now, such as a step to nobody"
    )
