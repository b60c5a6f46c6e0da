"""The time and the configuration under which a transaction works."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.config.model import Config


@dataclass(frozen=True, slots=True)
class Context:
    """The time on the injected clock (`now`) and in reality (`wall`), and the configuration in force."""

    now: datetime
    wall: datetime
    config: Config
    public_url: str | None
