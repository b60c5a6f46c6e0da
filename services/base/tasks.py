"""The long tasks of a process, which have a name and an owner; and what a part of the process says about its health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

import structlog

from services.base.errors import FirebreakError

logger = structlog.get_logger()


class Health(NamedTuple):
    """Whether a part is well, and details for the reader. Anybody may read them, so they hold no secrets."""

    ok: bool
    detail: Mapping[str, Any] = {}


class TaskEnded(FirebreakError):
    """A long task ended though nobody asked it to. The process stops then: supervisors restart processes, not coroutines."""


class Spawn(Protocol):
    """Starts a long task and answers for it: `Tasks.spawn` of a process, or `spawn_alone`."""

    def __call__(
        self, name: str, work: Callable[[], Awaitable[None]], ends: Callable[[], bool] = ...
    ) -> asyncio.Task[None]: ...


def spawn_alone(
    name: str, work: Callable[[], Awaitable[None]], ends: Callable[[], bool] = lambda: False
) -> asyncio.Task[None]:
    """Run `work` where there is no process to stop, as in tools and tests. A failure or an unasked end is logged as an
    error and stops nothing, so the caller has to notice it by its effects."""

    async def watched() -> None:
        try:
            await work()
        except Exception:
            logger.exception("task_failed", task=name)
        else:
            if not ends():
                logger.error("task_ended_unasked", task=name)

    return asyncio.create_task(watched(), name=name)


class Tasks:
    """The long tasks of one process, in its one `asyncio.TaskGroup`."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    def spawn(
        self, name: str, work: Callable[[], Awaitable[None]], ends: Callable[[], bool] = lambda: False
    ) -> asyncio.Task[None]:
        """Run `work` under `name`. It may end only when the process stops, or when `ends()` says it may."""

        async def owned() -> None:
            await work()
            if not self._stopping and not ends():
                raise TaskEnded(f"the task {name!r} ended unasked")

        task = self._group.create_task(owned(), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def stopping(self) -> None:
        """From now on tasks may end."""
        self._stopping = True

    def cancel_rest(self) -> None:
        """Cancel the tasks that are left. They only watch: a task with work in hand was stopped by its service before."""
        for task in list(self._running):
            task.cancel()
