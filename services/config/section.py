"""What every section of the configuration file promises: frozen, and strict about fields that it does not know."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Words = Annotated[str, StringConstraints(min_length=2, max_length=100, strip_whitespace=True)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
