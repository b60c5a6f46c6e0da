"""The one door to the database: a synchronous engine on threads of its own, never on the loop.

`write` runs one function in one transaction. Writes that wait together share a commit, each behind a savepoint of its own:
one that fails takes nobody with it, and a thousand deliveries cost dozens of fsyncs, not thousands. `read` runs beside the
writer and sees what was committed. Whatever differs between SQLite and PostgreSQL stands here and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from alerter.store import migrate
from services.base.errors import FirebreakError, Transient

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

try:
    import fcntl
except ImportError:  # Windows: leases end by time alone
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
_READ_ONLY = "firebreak_read_only"

MOST_TOGETHER: Final = 64
"""Writes that share a commit: more would make the first of them wait for long."""
READERS: Final = 2


class Overtaken(FirebreakError):
    """Another replica changed what this transaction was based on: roll back, load again."""


class DatabaseAway(Transient):
    """The database does not answer, or is locked; nothing of this transaction took effect (or its commit is unknown)."""


class _Job(NamedTuple):
    work: Callable[[Connection], Any]
    done: Future[Any]


def default_url(folder: Path) -> str:
    return f"sqlite+pysqlite:///{folder / 'alerter.db'}"


class Database:
    """Runs functions of a connection, each in a transaction: writes one after the other, reads beside them."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="alerter-db")
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="alerter-db-read")
        self._waiting: deque[_Job] = deque()
        self._lock: IO[bytes] | None = None

    async def start(self) -> None:
        """Bring the tables up to date. Raises `Damaged` where they are of a version that we do not know."""
        await self._on(self._writer, lambda: self._passing(lambda: migrate.up(self._engine)))

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
        """Run `work` and commit. An exception rolls it back. Raises `DatabaseAway` where trying again may help."""
        done: Future[T] = Future()
        self._waiting.append(_Job(work, done))
        self._writer.submit(self._commit_together)
        return await asyncio.wrap_future(done)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Like `write`, for work that changes nothing; sees what was committed when it begins."""

        def transact() -> T:
            with self._engine.execution_options(**{_READ_ONLY: True}).begin() as connection:
                return work(connection)

        return await self._on(self._readers, lambda: self._passing(transact))

    async def aside(self, work: Callable[[], T]) -> T:
        """Run `work` on a thread, outside of any transaction: thinking has no place inside one."""
        return await self._on(self._readers, work)

    @staticmethod
    async def _on(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _passing(self, work: Callable[[], T]) -> T:
        """Raises `DatabaseAway` for what passes."""
        try:
            return work()
        except DBAPIError as error:
            if self._passes(error):
                # Only the driver's own words: the statement's parameters hold bodies and secrets.
                raise DatabaseAway(str(error.orig)) from None
            raise

    def _passes(self, error: DBAPIError) -> bool:
        """Whether the database is locked or away, which trying again may mend."""
        return error.connection_invalidated or isinstance(
            error.orig, self._engine.dialect.loaded_dbapi.OperationalError
        )

    def _commit_together(self) -> None:
        """Do what waits, in one transaction. A later call for a write that was done here finds nothing left."""
        jobs = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
        jobs = [job for job in jobs if job.done.set_running_or_notify_cancel()]
        if not jobs:
            return
        came: list[Callable[[], None]] = []
        try:
            with self._engine.begin() as connection:
                came = [self._settled(connection, job, alone=len(jobs) == 1) for job in jobs]
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for it
            failure = self._named(error)
            came = [lambda j=job: j.done.set_exception(failure) for job in jobs]  # type: ignore[misc]
        for settle in came:
            settle()

    def _settled(self, connection: Connection, job: _Job, alone: bool) -> Callable[[], None]:
        """Do one of several; what to tell whoever waits for it, once all are committed."""
        if alone:
            result = job.work(connection)
            return lambda: job.done.set_result(result)
        savepoint = connection.begin_nested()
        try:
            result = job.work(connection)
        except BaseException as error:  # noqa: BLE001
            savepoint.rollback()
            failure = self._named(error)
            return lambda: job.done.set_exception(failure)
        savepoint.commit()
        return lambda: job.done.set_result(result)

    def _named(self, error: BaseException) -> BaseException:
        if isinstance(error, DBAPIError) and self._passes(error):
            return DatabaseAway(str(error.orig))
        return error

    async def close(self) -> None:
        """Idempotent; waits for the transactions in hand."""
        await asyncio.get_running_loop().run_in_executor(None, self._writer.shutdown)
        await asyncio.get_running_loop().run_in_executor(None, self._readers.shutdown)
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def engine_of(url: str) -> Engine:
    """An engine with our settings, for either database."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    if parsed.drivername == "postgresql":  # SQLAlchemy would take psycopg2
        parsed = parsed.set(drivername="postgresql+psycopg")
    # A lock that is never given or a server that fell silent must not hold the only writer for ever.
    limits = {"connect_timeout": 5, "options": "-c lock_timeout=5s -c statement_timeout=60s"}
    return create_engine(
        parsed, hide_parameters=True, pool_size=READERS + 1, max_overflow=0, pool_pre_ping=True, connect_args=limits
    )


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


def insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose key is not there yet, all with the same columns; how many were."""
    if not rows:
        return 0
    return connection.execute(_insert_missing(connection.dialect.name, table), list(rows)).rowcount


@cache
def _insert_missing(dialect: str, table: Table) -> Insert:
    """Built once: making a statement costs more than running it, which is why rows are given as parameters everywhere."""
    made: sqlite.Insert | postgresql.Insert
    # Imported late: a process uses one of the two.
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        made = sqlite.insert(table)
    else:
        from sqlalchemy.dialects import postgresql

        made = postgresql.insert(table)
    return made.on_conflict_do_nothing().execution_options(preserve_rowcount=True)
