"""In which order waiting writes are done: what is due to people first, then bulk work, which is never passed by for long."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

Job = TypeVar("Job")

MOST_TOGETHER: Final = 64
"""Most writes that share a commit: with more, the first of them would wait too long."""
MOST_PASSES: Final = 4
"""How many commits may pass waiting bulk work by. Then it has the next one, however much is due to people."""
SHARING_SECONDS: Final = 0.025
"""Bulk work joins a commit that began at most so long ago. What is due to people waits for its end."""


class Turns(Generic[Job]):
    """The waiting writes. Any thread may add one; one thread takes them, in turns that share a commit."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._urgent: deque[Job] = deque()
        self._bulk: deque[Job] = deque()
        self._passes = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._bulk)

    def add(self, job: Job, *, bulk: bool) -> None:
        (self._bulk if bulk else self._urgent).append(job)

    def turn(self) -> Iterator[tuple[Job, bool]]:
        """Yield the writes of the next commit, each with whether it has the commit to itself.

        Ask for each only after the one before is done: a turn of bulk work ends when that took long, or when something
        urgent came meanwhile.
        """
        queue = self._next()
        if len(queue) == 1:
            yield queue.popleft(), True
            return
        until = self._clock() + SHARING_SECONDS
        for place in range(min(MOST_TOGETHER, len(queue))):
            if place and queue is self._bulk and (self._urgent or self._clock() >= until):
                return
            yield queue.popleft(), False

    def _next(self) -> deque[Job]:
        if not self._bulk:
            return self._urgent
        if self._urgent and self._passes < MOST_PASSES:
            self._passes += 1
            return self._urgent
        self._passes = 0
        return self._bulk
