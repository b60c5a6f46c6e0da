"""Applications with all routes of the alerter, built once and lent to one running alerter after the other.

Building the routes costs more than everything else that an alerter does when it starts, and they are the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from fastapi import FastAPI

from alerter.service import Alerter


class _Current:
    """Has the attributes of what `find` returns at the time when they are asked for."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)


class _Mounted:
    """One application, and the alerter whose requests it serves now."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.alerter: Alerter | None = None
        stand_in = _Current(lambda: self.alerter)
        # These are asked for when the routes are made, and belong to one alerter as well.
        stand_in.links = _Current(lambda: self._serving().links)  # type: ignore[attr-defined]
        stand_in.live_updates = _Current(lambda: self._serving().live_updates)  # type: ignore[attr-defined]
        stand_in.sign_ins = _Current(lambda: self._serving().sign_ins)  # type: ignore[attr-defined]
        stand_in.strips = _Current(lambda: self._serving().strips)  # type: ignore[attr-defined]
        Alerter.mount(cast("Alerter", stand_in), self.app)

    def _serving(self) -> Alerter:
        assert self.alerter is not None
        return self.alerter


_free: Final[list[_Mounted]] = []


@contextmanager
def app_of(alerter: Alerter) -> Iterator[FastAPI]:
    """The application that serves this alerter, until the block ends."""
    mounted = _free.pop() if _free else _Mounted()
    mounted.alerter = alerter
    try:
        yield mounted.app
    finally:
        mounted.alerter = None
        _free.append(mounted)
