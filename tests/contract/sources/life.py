"""A process that listens, in this process: the whole ingest service over the real embedded log, a manual clock, and a way to
die as by SIGKILL: at a seam between fetch and commit, with nothing given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import CollectorRegistry

from ingest.service import IngestService, build
from services.base.clock import ManualClock
from services.base.errors import Damaged
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.base.tasks import Tasks
from services.config.current import CurrentConfig
from services.config.file import ConfigFile
from services.contracts.codec import decode
from services.contracts.post import CoverageState, PostDeleted, PostKind, PostObserved, SourceCoverage
from services.contracts.source_status import SourceStatus, decode_status
from services.contracts.topics import POSTS, SOURCES
from services.eventlog.sqlite import SqliteLog
from services.runtime.lifecycle import ServiceContext
from tests.contract.sources.network import BRAND, HANDLE, Network
from tests.patience import PATIENCE_SECONDS

NOW: Final = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
NAME: Final = "ears"


class Died(Damaged):
    """Stands for SIGKILL."""


@dataclass
class Life:
    """One process, until it dies or is stopped."""

    service: IngestService
    log: SqliteLog
    config: CurrentConfig
    registry: CollectorRegistry

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"firebreak_source_{name}", {"source": NAME, **labels}) or 0.0

    @property
    def phase(self) -> str | None:
        return self.service._sources.phases.get(NAME)


class World:
    """A network, a clock, a configuration file and a log, which outlive the processes."""

    def __init__(self, path: Path, network: Network, clock: ManualClock) -> None:
        self.path = path
        self.network = network
        self.clock = clock
        self.reader: SqliteLog

    @property
    def file(self) -> Path:
        return self.path / "firebreak.yaml"

    def configure(self, *connectors: dict[str, Any]) -> None:
        """Write the configuration; without connectors nothing listens."""
        whole = {
            "brands": [
                {
                    "id": BRAND,
                    "name": "Acme Air",
                    "accounts": [{"network": self.network.name, "handle": HANDLE, "owner": "care"}],
                }
            ],
            "sources": [{"network": self.network.name, "listen": list(connectors)}],
        }
        self.file.write_text(yaml.safe_dump(whole), encoding="utf-8")

    @contextlib.asynccontextmanager
    async def life(self, *, dies: bool = False) -> AsyncIterator[Life]:
        """One process. One that `dies` is awaited at the end of the block, and leaves everything as it is."""
        log = SqliteLog(self.path / "log.db", 2, lease_seconds=10.0, beat_seconds=0.05, retention=False)
        registry = CollectorRegistry()
        config = CurrentConfig.from_file(ConfigFile(self.file, self.path))
        settings = Settings(api_keys="tests:a-key-for-tests-only", retention=False, egress_allow="127.0.0.0/8,::1/128")
        service = build(ServiceContext(settings, config, log, self.clock, registry, FloorMetrics(registry)))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = Tasks(group)
                await log.start(tasks.spawn)
                await service.start(tasks)
                yield Life(service, log, config, registry)
                if dies:
                    await asyncio.Event().wait()
                tasks.stopping()
                await service.stop(asyncio.get_running_loop().time() + 5)
                await log.close()
                tasks.cancel_rest()
        except* Died:
            assert dies
        finally:
            if dies:
                # A process that is killed takes its sockets with it.
                await service._sources.http.aclose()
                await log._file.close()
                self._let_its_leases_end()

    def _let_its_leases_end(self) -> None:
        """The leases of a dead process end by real time, which nobody should wait for here."""
        with contextlib.closing(sqlite3.connect(self.path / "log.db", isolation_level=None)) as db:
            db.execute("UPDATE leases SET expires = 0")
            db.execute("UPDATE members SET expires = 0")

    async def until(self, there: Callable[[], Awaitable[Any]]) -> Any:
        """What `there` returns once that is true. Meanwhile time passes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := await there()):
                self.clock.advance(self.network.pace_seconds)
                await asyncio.sleep(0.005)
        return found

    async def events(self) -> list[Any]:
        """Every event of the log, in its order within a partition."""
        events = []
        for partition, (start, _) in (await self.reader.bounds(POSTS.name)).items():
            records = (await self.reader.read(POSTS.name, partition, start, 100_000)).records
            events += [decode(record.value) for record in records]
        return [envelope.event for envelope in events]

    async def posts(self, *kinds: PostKind) -> list[str]:
        """The ids of the posts that were stored, one for each time: of these kinds, or of all but counters."""
        wanted = kinds or tuple(kind for kind in PostKind if kind is not PostKind.COUNTERS)
        stored = [e for e in await self.events() if isinstance(e, PostObserved) and e.conversation == e.home]
        return [e.post_id for e in stored if e.kind in wanted]

    async def deletions(self) -> list[str]:
        return [event.post_id for event in await self.events() if isinstance(event, PostDeleted)]

    async def gaps(self) -> Sequence[SourceCoverage]:
        return [e for e in await self.events() if isinstance(e, SourceCoverage) and e.state is CoverageState.GAP]

    async def open_gaps(self) -> list[datetime]:
        """The begins of those that have not ended."""
        gaps = await self.gaps()
        ended = {gap.begins for gap in gaps if gap.ends is not None}
        return sorted({gap.begins for gap in gaps} - ended)

    async def status(self) -> SourceStatus | None:
        """What was last said of the source."""
        last = None
        for partition, (start, _) in (await self.reader.bounds(SOURCES.name)).items():
            for record in (await self.reader.read(SOURCES.name, partition, start, 10_000)).records:
                if record.key == NAME and record.value is not None:
                    last = decode_status(record.value)
        return last

    async def heard(self, *posts: str) -> None:
        """Wait until all of these were stored."""

        async def there() -> bool:
            return set(posts) <= {*await self.posts(), *await self.deletions()}

        await self.until(there)
