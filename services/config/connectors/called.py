"""What every connector is told that is called by its network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.config.connectors.base import ConnectorSection


class CalledSection(ConnectorSection):
    """It listens at `/v1/sources/NAME`. What cannot be asked whether it is alive promises to be heard from in time instead."""

    silence_seconds: Annotated[float, Field(ge=60, le=30 * 24 * 3600)] | None = Field(
        None,
        description="if no call comes for so long, the network counts as not heard. Choose more than its longest quiet time, "
        "such as a night; without it, silence is never told from calm",
    )
