"""One SQLite file, one writer thread, one reader thread. What the writer says is done survives a power cut.

Many writes that wait together share one commit (and one fsync), each in a savepoint of its own: one that fails takes
nothing else with it. Readers never hold a read transaction between calls, so the write-ahead log can be folded back.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from services.base import private
from services.base.errors import Damaged
from services.eventlog.base import Closed, Unavailable

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

SCHEMA_VERSION: Final = 1
BUSY_MS: Final = 5000
"""How long a write waits for another process's write before the log counts as unavailable."""
GROUP_COMMIT: Final = 256
"""Writes that share one commit at most; more would let one fsync hold up too many callers."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, start INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
  key TEXT NOT NULL, value BLOB, appended_ms INTEGER NOT NULL,
  PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
  changelog TEXT NOT NULL, partition INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY (changelog, partition, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (
  grp TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
  PRIMARY KEY (grp, topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (
  grp TEXT NOT NULL, topic TEXT NOT NULL, member TEXT NOT NULL, expires REAL NOT NULL,
  PRIMARY KEY (grp, topic, member)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
  grp TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
  member TEXT, epoch INTEGER NOT NULL, expires REAL NOT NULL,
  PRIMARY KEY (grp, topic, partition)) WITHOUT ROWID;
"""


class SqliteFile:
    def __init__(self, path: Path, *, erase: bool = False) -> None:
        """With `erase` what is deleted is overwritten, or it could be read from the file until its page is used again."""
        self._path = path
        self._erase = erase
        self._jobs: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_until_closed, name="log-writer", daemon=True)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="log-reader")
        self._reading: sqlite3.Connection | None = None
        self._writing: sqlite3.Connection | None = None
        self._closed = False

    async def open(self) -> None:
        try:
            private.make_folder(self._path.parent)
            private.make_file(self._path)
        except OSError as error:
            raise Unavailable(f"the log's file {self._path} cannot be used: {error.strerror}") from None
        private.close_to_others(private.of_database(self._path))
        loop = asyncio.get_running_loop()
        self._writing, self._reading = await loop.run_in_executor(self._reader, self._connect_both)
        self._writer.start()

    def _connect_both(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        writing = self._connect()
        try:
            with _translated():
                version = writing.execute("PRAGMA user_version").fetchone()[0]
                if version > SCHEMA_VERSION:
                    raise Damaged(
                        f"{self._path} is of version {version}, written by a newer release (known: {SCHEMA_VERSION})"
                    )
                if version < SCHEMA_VERSION:
                    writing.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
            return writing, self._connect()
        except BaseException:
            writing.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        with _translated():
            connection = sqlite3.connect(
                self._path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA journal_size_limit={64 << 20}")
            # Set, because builds of SQLite differ. FAST overwrites what is deleted on pages that are written anyway.
            connection.execute(f"PRAGMA secure_delete={'ON' if self._erase else 'FAST'}")
            return connection

    async def write(self, work: Work[T]) -> T:
        """Run `work` inside a transaction on the writer thread. Returns its result when it is durable. A caller that is
        cancelled only stops waiting: the work is never cut off."""
        if self._closed:
            raise Closed("the log is closed")
        future: Future[T] = Future()
        self._jobs.put((work, future))
        return await asyncio.shield(asyncio.wrap_future(future))

    async def read(self, work: Work[T]) -> T:
        """Run `work` on the reader thread, outside any lasting transaction."""
        if self._closed:
            raise Closed("the log is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, work)

    def _read(self, work: Work[T]) -> T:
        if self._reading is None:  # a request may come before the process is ready
            raise Unavailable("the log is not open yet")
        with _translated():
            return work(self._reading)

    def _write_until_closed(self) -> None:
        assert self._writing is not None
        while (job := self._jobs.get()) is not None:
            group = [job]
            while len(group) < GROUP_COMMIT:
                try:
                    another = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if another is None:
                    self._jobs.put(None)
                    break
                group.append(another)
            self._commit_group(self._writing, group)

    @staticmethod
    def _commit_group(connection: sqlite3.Connection, group: list[tuple[Work[Any], Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with _translated():
                connection.execute("BEGIN IMMEDIATE")
                for work, future in group:
                    connection.execute("SAVEPOINT job")
                    try:
                        with _translated():
                            done.append((future, work(connection), None))
                    except Exception as error:
                        if not connection.in_transaction:
                            raise  # SQLite has undone the whole group, as it does when the disk is full
                        connection.execute("ROLLBACK TO job")
                        done.append((future, None, error))
                    connection.execute("RELEASE job")
                connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - no job of this group is durable: every caller is told
            # This thread is the only one that writes: were it to end here, every later caller would wait for ever.
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            done = [(future, None, error) for _, future in group]
        for future, value, failed in done:
            if failed is None:
                future.set_result(value)
            else:
                future.set_exception(failed)

    async def close(self) -> None:
        """Finish what was handed in, then end both threads. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        if self._writer.is_alive():
            await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._reader.shutdown)
        for connection in (self._reading, self._writing):
            if connection is not None:
                connection.close()


class LogFileHeld(Unavailable):
    """Another program has the file locked, or the disk is full or away."""

    restart_helps = False


class _translated:  # noqa: N801 - reads as a context, not as a class
    """Turns SQLite's errors into the log's."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.OperationalError | sqlite3.InterfaceError):
            raise LogFileHeld(f"the log's file cannot be used: {error}") from error
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.IntegrityError):
            raise Damaged(f"the log's file is damaged: {error}") from error
