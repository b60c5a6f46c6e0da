"""Runs the thinking of a step off the event loop, and ends it when it takes too long: whatever a post says, the process answers
its health checks, stops when it is asked to, and finds out which record it was.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from services.base.errors import FirebreakError

T = TypeVar("T")

STALL_SECONDS: Final = 30.0
"""A step thinks for so long at most. Two thousand posts take about a second; waiting for readings does not count."""
SLICES: Final = 30
END_SECONDS: Final = 5.0
"""So long may the thread take to notice that it was told to end."""


class Stalled(Exception):
    """The thinking took longer than `STALL_SECONDS`, and was ended."""


class Stuck(FirebreakError):
    """The thinking cannot be ended, because it hangs in code that is not Python. Only a new process helps."""


class _Thread:
    """One piece of work on the thread that it happens to get."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number: int | None = None

    def run(self, work: Callable[[], T]) -> T:
        with self._lock:
            self._number = threading.get_ident()
        try:
            return work()
        finally:
            with self._lock:
                self._number = None

    def end(self) -> None:
        """Raise `Stalled` in the work, at its next step in Python, if it still runs."""
        with self._lock:
            if self._number is not None:
                number, raised = ctypes.c_ulong(self._number), ctypes.py_object(Stalled)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(number, raised)


async def off_loop(work: Callable[[], T]) -> T:
    """Returns what `work` returns, done in another thread. A caller that is cancelled only stops waiting.

    Raises `Stalled` where it took too long, and `Stuck` where it does not end even then.
    """
    thread = _Thread()
    running = asyncio.get_running_loop().run_in_executor(None, thread.run, work)
    # In slices: a process that was suspended meanwhile, or a laptop that slept, thought no longer than one of them.
    done: set[asyncio.Future[T]] = set()
    for _ in range(SLICES):
        if not done:
            done, _waiting = await asyncio.wait({running}, timeout=STALL_SECONDS / SLICES)
    if not done:
        thread.end()
        done, _ = await asyncio.wait({running}, timeout=END_SECONDS)
    if not done:
        raise Stuck(f"a step has been thinking for {STALL_SECONDS:.0f} s and cannot be ended")
    return running.result()
