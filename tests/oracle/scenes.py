"""Plays several faults side by side, each at a place of its own, and keeps what came of each for the tests to judge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from tests.patience import patient

T = TypeVar("T")
P = TypeVar("P")
"""Where a scene is played: a stage, for most."""
AT_ONCE: Final = 8
"""Mostly they wait for the leases and sessions of the dead to end."""


@dataclass(frozen=True)
class Fates(Generic[T]):
    """By the name of the scene."""

    _outcomes: Mapping[str, T | Exception]

    def outcome(self, name: str) -> T:
        """What came of it; raises what it died of."""
        found = self._outcomes[name]
        if isinstance(found, Exception):
            raise found
        return found


def played(
    scenes: Mapping[str, Callable[[P], Awaitable[T]]],
    place: Callable[[str], AbstractAsyncContextManager[P]],
    at_once: int = AT_ONCE,
) -> Fates[T]:
    async def play_all() -> dict[str, T | Exception]:
        room = asyncio.Semaphore(at_once)

        async def play(name: str, scene: Callable[[P], Awaitable[T]]) -> T | Exception:
            async with room:
                try:
                    async with place(name) as where:
                        return await scene(where)
                except (Exception, AssertionError) as error:  # noqa: BLE001 - each test gets its own
                    return error

        found = await asyncio.gather(*(play(name, scene) for name, scene in scenes.items()))
        return dict(zip(scenes, found, strict=True))

    with patient():
        return Fates(asyncio.run(play_all()))
