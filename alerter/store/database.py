"""The only way to the database: a synchronous engine on threads of its own, never on the event loop.

`write` runs one function in one transaction. Writes that wait together share a commit, each behind its own savepoint:
one that fails takes no other with it, and a thousand deliveries cost dozens of fsyncs, not thousands. What is due to
people goes before bulk work (`turns`). `read` runs beside the writer and sees what is committed. All differences between
SQLite and PostgreSQL are handled here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import structlog
from sqlalchemy import URL, Connection, Engine, Insert, Table, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from alerter.store import later, migrate
from alerter.store.turns import Turns
from alerter.store.vault import Vault, lend
from services.base import private
from services.base.clock import set_within
from services.base.errors import ConfigError, FirebreakError, Transient
from services.base.retry import backoff

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

try:
    import fcntl
except ImportError:  # Windows: leases end by time alone
    fcntl = None  # type: ignore[assignment]

logger = structlog.get_logger()

T = TypeVar("T")
_READ_ONLY = "firebreak_read_only"

READERS: Final = 2
BUSY_MS: Final = 5000
"""How long a transaction waits for another one's lock."""
_FOLD_MS: Final = 200
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_MS}",
    # What is deleted is overwritten. Set, because some builds of SQLite do so by themselves and others do not.
    "secure_delete=ON",
)


class Overtaken(FirebreakError):
    """Another replica changed what this transaction is based on: roll back and load again."""


class DatabaseAway(Transient):
    """The database does not answer or is locked. Nothing took effect, unless only the answer to the commit was lost."""

    restart_helps = False


class _Job(NamedTuple):
    work: Callable[[Connection], Any]
    done: Future[Any]


def default_url(folder: Path) -> str:
    return f"sqlite+pysqlite:///{folder / 'alerter.db'}"


class Database:
    """Runs functions that take a connection, each in a transaction: writes one after the other, reads beside them."""

    def __init__(self, url: str, vault: Vault | None = None) -> None:
        self._engine = engine_of(url, vault)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="alerter-db")
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="alerter-db-read")
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="alerter-aside")
        self._waiting: Turns[_Job] = Turns()
        self._lock: IO[bytes] | None = None
        self.away = False
        """Whether the last write found the database locked or away."""

    async def start(self) -> None:
        """Bring the tables up to date. Raises `Damaged` if they have a version that we do not know, `ConfigError` if the file
        of a SQLite database cannot be made, and `DatabaseAway`."""
        path = _file_of(self._engine)
        if path is not None:
            try:
                private.make_folder(path.parent)
                private.make_file(path)
            except OSError as error:
                raise ConfigError(f"the database {path} cannot be made or used: {error.strerror}") from None
            private.close_to_others(private.of_database(path))
        try:
            await self._on(self._writer, lambda: self._passing(lambda: migrate.up(self._engine)))
        except DatabaseAway:
            self.away = True
            raise

    async def arrives(self, stop: asyncio.Event) -> bool:
        """Start as soon as the database can be used: where everything is started at once, it may come later than we do. Returns
        False if `stop` was set before. Raises `Damaged` like `start`."""
        waits = backoff(0.5, 10)
        while not stop.is_set():
            try:
                await self.start()
                return True
            except DatabaseAway as error:
                logger.warning("database_away", why=str(error))
                await set_within(stop, next(waits))
        return False

    def alone(self) -> bool:
        """Returns True if no other process has this database open, which only a SQLite file can tell.

        Then all leases were left by dead processes. The lock is the kernel's: it ends with the process, even on kill -9.
        """
        path = _file_of(self._engine)
        if path is None or fcntl is None:
            return False
        if self._lock is None:
            beside = path.with_name(f"{path.name}.lock")
            private.make_file(beside)
            lock = beside.open("ab")  # held until `close`
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                return False
            self._lock = lock
        return True

    async def write(self, work: Callable[[Connection], T], *, bulk: bool = False) -> T:
        """Run `work` and commit. An exception rolls it back. Raises `DatabaseAway` if a retry may help.

        `bulk` work lets what is due to people go first. It must be short all the same, because nothing interrupts it.
        """
        done: Future[T] = Future()
        self._waiting.add(_Job(work, done), bulk=bulk)
        self._writer.submit(self._commit_together)
        try:
            return await asyncio.wrap_future(done)
        finally:
            if done.done() and not done.cancelled():
                self.away = isinstance(done.exception(), DatabaseAway)

    async def probe(self) -> None:
        """Find out whether the database can be written, by writing nothing. Raises like `write`."""
        await self.write(lambda _: None)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which changes nothing. It sees what is committed when it begins. Raises like `write`."""

        def transact() -> T:
            with self._engine.execution_options(**{_READ_ONLY: True}).begin() as connection:
                return work(connection)

        return await self._on(self._readers, lambda: self._passing(transact))

    async def write_beside(self, work: Callable[[Connection], T]) -> T:
        """Like `write`, without waiting for the writes before it where the database allows two at once (PostgreSQL)."""
        if self._engine.dialect.name == "sqlite":
            return await self.write(work)

        def transact() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return await self._on(self._readers, lambda: self._passing(transact))

    async def aside(self, work: Callable[[], T]) -> T:
        """Run `work` on a thread of its own, because neither transactions nor reads are to wait for computations."""
        return await self._on(self._aside, work)

    async def fold(self) -> None:
        """Let nothing that was deleted or overwritten stay in SQLite's write-ahead log (see `fold`)."""
        await self._on(self._readers, lambda: fold(self._engine))

    @staticmethod
    async def _on(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _passing(self, work: Callable[[], T]) -> T:
        """Run `work`. Raises `DatabaseAway` in place of an error that passes."""
        try:
            return work()
        except DBAPIError as error:
            if self._passes(error):
                # Only the driver's own words: the statement's parameters hold bodies and secrets.
                raise DatabaseAway(str(error.orig)) from None
            raise

    def _passes(self, error: DBAPIError) -> bool:
        """Returns True if the database is locked or away, so that a retry may help."""
        return error.connection_invalidated or isinstance(
            error.orig, self._engine.dialect.loaded_dbapi.OperationalError
        )

    def _commit_together(self) -> None:
        """Do the writes whose turn it is in one transaction. There are as many calls as writes, so some find nothing to do."""
        turn = self._waiting.turn()
        first = next(turn, None)  # before the transaction, which may fail to begin: each call is to settle at least one
        if first is None:
            return
        jobs: list[_Job] = []
        settlements: list[Callable[[], None]] = []
        try:
            with self._engine.begin() as connection:
                for job, alone in chain((first,), turn):
                    if job.done.set_running_or_notify_cancel():
                        jobs.append(job)
                        settlements.append(self._settled(connection, job, alone))
        except BaseException as error:  # noqa: BLE001 - it belongs to the callers that wait
            failure = self._named(error)
            jobs = jobs or [first[0]]
            settlements = [lambda j=job: j.done.set_exception(failure) for job in jobs]  # type: ignore[misc]
        for settle in settlements:
            settle()

    def _settled(self, connection: Connection, job: _Job, alone: bool) -> Callable[[], None]:
        """Do one write. Returns a function that gives its caller the result, to be called after the commit."""
        if alone:
            result = job.work(connection)
            return lambda: job.done.set_result(result)
        savepoint = connection.begin_nested()
        try:
            result = job.work(connection)
            later.flush(connection)
        except BaseException as error:  # noqa: BLE001
            try:
                savepoint.rollback()
            except DBAPIError:  # SQLite has undone the whole group, as it does when the disk is full
                raise error from None
            failure = self._named(error)
            return lambda: job.done.set_exception(failure)
        savepoint.commit()
        return lambda: job.done.set_result(result)

    def _named(self, error: BaseException) -> BaseException:
        if isinstance(error, DBAPIError) and self._passes(error):
            return DatabaseAway(str(error.orig))
        return error

    async def close(self) -> None:
        """Wait for running transactions, then close all connections. May be called twice."""
        await asyncio.get_running_loop().run_in_executor(None, self._writer.shutdown)
        await asyncio.get_running_loop().run_in_executor(None, self._readers.shutdown)
        await asyncio.get_running_loop().run_in_executor(None, self._aside.shutdown)
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def engine_of(url: str, vault: Vault | None = None) -> Engine:
    """Returns an engine with our settings, for SQLite or PostgreSQL. `vault` opens what is encrypted."""
    parsed = make_url(url)
    engine = _sqlite_engine(url) if parsed.get_backend_name() == "sqlite" else _server_engine(parsed)
    if vault is not None:
        lend(engine, vault)
    return engine


def fold(engine: Engine) -> None:
    """Copy SQLite's write-ahead log into the file and empty it: it holds what pages said before they were overwritten.

    Does nothing while somebody reads from it; the next call will do.
    """
    if _file_of(engine) is None:
        return
    connection = engine.raw_connection()
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout={_FOLD_MS}")
        with contextlib.suppress(engine.dialect.loaded_dbapi.OperationalError):
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.close()


def _file_of(engine: Engine) -> Path | None:
    """Returns the file of a SQLite database, or `None` if it is in memory or on a server."""
    path = engine.url.database
    if engine.dialect.name != "sqlite" or not path or path == ":memory:" or path.startswith("file:"):
        return None
    return Path(path)


def _server_engine(parsed: URL) -> Engine:
    if parsed.drivername == "postgresql":  # SQLAlchemy would take psycopg2
        parsed = parsed.set(drivername="postgresql+psycopg")
    # A lock that is never granted, or a server that stopped answering, must not block the only writer for ever.
    limits = {"connect_timeout": 5, "options": "-c lock_timeout=5s -c statement_timeout=60s"}
    return create_engine(
        parsed, hide_parameters=True, pool_size=READERS + 1, max_overflow=0, pool_pre_ping=True, connect_args=limits
    )


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions itself: it would begin them late and deferred.
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # IMMEDIATE: a transaction that reads first and writes later fails if another one wrote in between.
        reads = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose key is not there yet. All must have the same columns. Returns how many were inserted."""
    if not rows:
        return 0
    return connection.execute(_insert_missing(connection.dialect.name, table), list(rows)).rowcount


def insert_missing_later(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same, together with other rows of the table (`later`)."""
    later.do(connection, _insert_missing(connection.dialect.name, table), rows)


@cache
def _insert_missing(dialect: str, table: Table) -> Insert:
    """Built once: making a statement costs more than running it, so rows are passed as parameters everywhere."""
    made: sqlite.Insert | postgresql.Insert
    # Imported late: a process uses one of the two.
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        made = sqlite.insert(table)
    else:
        from sqlalchemy.dialects import postgresql

        made = postgresql.insert(table)
    return made.on_conflict_do_nothing().execution_options(preserve_rowcount=True)
