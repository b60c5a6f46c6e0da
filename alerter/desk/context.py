"""When and under which configuration something is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.config.model import Config


@dataclass(frozen=True, slots=True)
class Context:
    """The moment, on the injected clock and on the wall, and the configuration that holds."""

    now: datetime
    wall: datetime
    config: Config
    public_url: str | None
