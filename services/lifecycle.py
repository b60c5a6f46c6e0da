"""How a process starts, stays honest about its health, and stops in order within a deadline.

One `asyncio.TaskGroup` owns every long task. A task that ends unasked ends the process: supervisors restart processes,
not coroutines. Stop is an event, not a cancellation; upstream stops first; a second signal exits at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import structlog
from prometheus_client import CollectorRegistry

from services.clock import Clock
from services.config import Config
from services.errors import FirebreakError
from services.eventlog.base import EventLog
from services.metrics import FloorMetrics
from services.settings import Settings

log = structlog.get_logger()


class Health(NamedTuple):
    """`ok` and what to say about it. Without secrets: anybody may read it."""

    ok: bool
    detail: Mapping[str, Any] = {}


class TaskEnded(FirebreakError):
    """A long task ended unasked."""


class Tasks:
    """Long tasks, named and owned."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._stopping = False

    def spawn(self, name: str, work: Callable[[], Awaitable[None]], ends: Callable[[], bool] = lambda: False) -> asyncio.Task[None]:
        """Run `work` under `name`. It may end only when the process stops, or when `ends()` says it may."""

        async def owned() -> None:
            await work()
            if not self._stopping and not ends():
                raise TaskEnded(f"the task {name!r} ended unasked")

        return self._group.create_task(owned(), name=name)

    def stopping(self) -> None:
        """From now on tasks may end."""
        self._stopping = True


@dataclass(frozen=True, slots=True)
class Context:
    """What every service is built from."""

    settings: Settings
    config: Config
    log: EventLog
    clock: Clock
    registry: CollectorRegistry
    metrics: FloorMetrics


class Service(Protocol):
    """What `build(context)` of ingest, scorer and alerter returns."""

    name: str

    async def start(self, tasks: Tasks) -> None:
        """Return when ready to work: migrations, models, databases. Long work goes to `tasks`."""

    def ready(self) -> Health:
        """Whether it can do its work now (restore done, log reachable)."""

    def live(self) -> Health:
        """Whether it makes progress; waiting for an absent log is live, not ready."""

    async def idle(self) -> bool:
        """Whether nothing is left to do at the present time of the clock. For drills and tests."""

    def mount(self, app: Any) -> None:
        """Add its routes to the process's one FastAPI application."""

    async def stop(self, deadline: float) -> None:
        """Finish or give back what is in hand, by `deadline` (`loop.time()`)."""
