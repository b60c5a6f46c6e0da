"""What a service is, and what it is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from services.base.clock import Clock
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Health, Tasks
from services.config.current import CurrentConfig
from services.config.model import Config
from services.eventlog.base import EventLog


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What every service is built from."""

    settings: Settings
    current: CurrentConfig
    log: EventLog
    clock: Clock
    registry: CollectorRegistry
    metrics: FloorMetrics

    @property
    def config(self) -> Config:
        """The configuration in force. Read it once in a step: the next step may see another."""
        return self.current.config


class Service(Protocol):
    """What `build(context)` of ingest, scorer and alerter returns."""

    name: str

    async def start(self, tasks: Tasks) -> None:
        """Return when ready to work: migrations, models, databases. Long work goes to `tasks`."""

    def ready(self) -> Health:
        """Says whether it can do its work now (state restored, log reachable)."""

    def live(self) -> Health:
        """Says whether it makes progress. A service that waits for an absent log is live, but not ready."""

    async def idle(self) -> bool:
        """Returns True if nothing is left to do at the present time of the clock. For drills and tests."""

    def mount(self, app: Any) -> None:
        """Add its routes to the process's one FastAPI application."""

    async def stop(self, deadline: float) -> None:
        """Finish or give back what is in hand, by `deadline` (`loop.time()`)."""
