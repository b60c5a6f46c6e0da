"""Long tasks, named and owned; and what a part of the process says about its health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from services.base.errors import FirebreakError


class Health(NamedTuple):
    """`ok` and what to say about it. Without secrets: anybody may read it."""

    ok: bool
    detail: Mapping[str, Any] = {}


class TaskEnded(FirebreakError):
    """A long task ended unasked: supervisors restart processes, not coroutines."""


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
        """End what only watches. Whoever holds work in hand was stopped by its service before."""
        for task in list(self._running):
            task.cancel()
