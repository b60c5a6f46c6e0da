"""Drives a source as the runner does: reads what it hears, and moves the clock until what is waited for is there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import TypeAdapter

from ingest.sources.base import Cursor, Heard, Missed, Source, SourceContext
from services.base.clock import Clock, ManualClock
from services.base.egress import GuardedBackend, allowed_networks
from services.base.guarded_client import guarded_client
from services.config.connectors import Connector
from services.config.model import Account, Brand

BEGIN: Final = datetime(2026, 5, 1, 12, tzinfo=UTC)
PATIENCE_SECONDS: Final = 60.0
ACME: Final = Brand(
    id="acme",
    name="Acme Air",
    accounts=(Account(network="mastodon", handle="acmeair", owner="care"),),
    hashtags=("acmefail",),
)


class NoBudget:
    """A purse for what costs nothing."""

    def may(self, dollars: float) -> bool:
        return dollars == 0

    def paid(self, dollars: float) -> None:
        assert dollars == 0

    def share(self) -> float:
        return 1.0


@contextlib.asynccontextmanager
async def context(
    section: Mapping[str, Any], secrets: Mapping[str, str], *, network: str, clock: Clock | None = None
) -> AsyncIterator[SourceContext]:
    options: Any = TypeAdapter(Connector).validate_python({"name": "under-test", **section})
    async with guarded_client(GuardedBackend(allowed_networks("127.0.0.0/8"))) as http:
        yield SourceContext(network, options, (ACME,), secrets, clock or ManualClock(BEGIN), http, NoBudget())


class Ears:
    """What a source said so far. `cursor` is the one that was given last."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.trouble: BaseException | None = None

    @property
    def items(self) -> list[dict[str, Any]]:
        return [dict(item) for heard in self.heard for item in heard.items]

    @property
    def ids(self) -> list[str]:
        return [f"{item['kind']} {item['post_id']}" for item in self.items]

    @property
    def missed(self) -> list[Missed]:
        return [missed for heard in self.heard for missed in heard.missed]

    @property
    def cursor(self) -> Cursor | None:
        return next((heard.cursor for heard in reversed(self.heard) if heard.cursor is not None), None)


@contextlib.asynccontextmanager
async def listening(source: Source, cursor: Cursor | None = None) -> AsyncIterator[Ears]:
    ears = Ears()

    async def listen() -> None:
        stream = source.listen(cursor)
        try:
            async for heard in stream:
                ears.heard.append(heard)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            ears.trouble = error
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    task = asyncio.create_task(listen())
    try:
        yield ears
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object], clock: object = None, pace: float = 1.0) -> None:
    """Wait for a state; with a manual clock it moves on at each look."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            if isinstance(clock, ManualClock):
                clock.advance(pace)
            await asyncio.sleep(0.01)
