"""Quiet hours, as the configuration file says them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.config.rota import Window, Zone
from services.config.section import Section, Slug


class QuietHours(Section):
    """When an incident counts as one severity milder, and the mildest wait until the hours end. Severity 1 never does."""

    id: Slug
    brands: tuple[Slug, ...] = Field((), description="empty: every brand")
    windows: tuple[Window, ...] = Field(min_length=1, max_length=50)
    zone: Zone = "UTC"
    holds_from: Annotated[int, Field(ge=3, le=4)] = Field(
        4, description="mildest lowered severity that waits: 4 holds SEV3 and SEV4, 3 holds SEV2 as well"
    )
