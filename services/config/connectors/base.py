"""What every connector is told by the operator, whatever its network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.config.section import Section, Slug


class Spending(Section):
    """How much a connector may spend on calls that cost money, in US dollars, by the UTC calendar. What is left decides how
    much is heard: near the end of the budget the connector samples and says so, it never falls silent without a word."""

    day_dollars: Annotated[float, Field(ge=0)] | None = None
    month_dollars: Annotated[float, Field(ge=0)] | None = None


class ConnectorSection(Section):
    """Each kind adds a literal `kind`, and what it needs. Secrets are never written here, but read from the environment:
    `FIREBREAK_SOURCE_<NAME>_<SECRET>`, the name of the connector in capitals with `_` for `-`."""

    name: Slug = Field(description="of this connector; unique, and the name of its cursor: renamed, it begins anew")
    brands: tuple[Slug, ...] = Field((), description="ids of the brands that it listens for; all of them without it")
    spending: Spending = Spending()
    looks_a_minute: Annotated[float, Field(ge=0, le=600)] = Field(
        6,
        description="calls a minute that ask how posts of watched stories do, where the network can be asked; 0 for none",
    )
