"""The one door to the database: a synchronous engine on one thread of its own, one transaction a call, never on the loop.

Whatever differs between SQLite and PostgreSQL stands here and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from alerter.store.tables import SCHEMA_VERSION, metadata, schema
from services.errors import Damaged, FirebreakError, Transient

try:
    import fcntl
except ImportError:  # Windows: leases end by time alone
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
_READ_ONLY = "firebreak_read_only"


class Overtaken(FirebreakError):
    """Another replica changed what this transaction was based on: roll back, load again."""


class DatabaseAway(Transient):
    """The database does not answer, or is locked; nothing of this transaction took effect (or its commit is unknown)."""


def default_url(folder: Path) -> str:
    return f"sqlite+pysqlite:///{folder / 'alerter.db'}"


class Database:
    """Runs functions of a connection, each in one transaction, one after the other."""

    def __init__(self, url: str) -> None:
        self._engine = (
            _sqlite_engine(url) if url.startswith("sqlite") else create_engine(url, pool_size=1, max_overflow=0)
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="alerter-db")
        self._lock: IO[bytes] | None = None

    async def start(self) -> None:
        """Create what is missing. Raises `Damaged` where the tables are of a version that we do not know."""
        await self.write(_create)

    def alone(self) -> bool:
        """Whether nobody else has this database open, which only a SQLite file can tell: then whatever is leased was left
        by a process that is dead. The lock is the kernel's: it ends with the process, also by kill -9."""
        path = self._engine.url.database
        if self._engine.dialect.name != "sqlite" or not path or fcntl is None:
            return False
        if self._lock is None:
            lock = Path(f"{path}.lock").open("ab")  # noqa: SIM115 - held until `close`
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                return False
            self._lock = lock
        return True

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` and commit. An exception rolls back. Raises `DatabaseAway` where trying again may help."""
        return await self._run(work, self._engine)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Like `write`, for work that changes nothing."""
        return await self._run(work, self._engine.execution_options(**{_READ_ONLY: True}))

    async def aside(self, work: Callable[[], T]) -> T:
        """Run `work` on the same thread, outside of any transaction: thinking has no place inside one."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _run(self, work: Callable[[Connection], T], engine: Engine) -> T:
        def transact() -> T:
            try:
                with engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if error.connection_invalidated or isinstance(error.orig, _passing(engine)):
                    # Only the driver's own words: the statement's parameters hold bodies and secrets.
                    raise DatabaseAway(str(error.orig)) from None
                raise

        return await asyncio.get_running_loop().run_in_executor(self._thread, transact)

    async def close(self) -> None:
        """Idempotent; waits for the transaction in hand."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _passing(engine: Engine) -> type[Exception]:
    """The driver's error for a database that is locked or away."""
    error: type[Exception] = engine.dialect.loaded_dbapi.OperationalError
    return error


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions by itself: it would begin them late and deferred.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # IMMEDIATE: a transaction that reads first and writes later could not be upgraded when another wrote between.
        reads = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    version = connection.scalar(select(schema.c.version))
    if version is None:
        connection.execute(insert(schema).values(version=SCHEMA_VERSION))
    elif version != SCHEMA_VERSION:
        raise Damaged(f"the alerter's database has version {version}, this program knows {SCHEMA_VERSION}")


def insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose key is not there yet; how many were."""
    if not rows:
        return 0
    return connection.execute(_insert_missing(connection.dialect.name, table), list(rows)).rowcount


@cache
def _insert_missing(dialect: str, table: Table) -> Insert:
    """Built once: making a statement costs more than running it, which is why rows are given as parameters everywhere."""
    made = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    return made.on_conflict_do_nothing()
