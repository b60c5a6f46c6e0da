"""One real PostgreSQL for the whole test session, as the fixture `postgres`, which makes databases.

From `PG_DSN` (a superuser's, of a server for tests), or `pgserver` from PyPI. Without either the tests that want one are
skipped, and say so; where CI=true that is a failure.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import pytest
from sqlalchemy import URL, Engine, create_engine, delete, make_url, text
from sqlalchemy.exc import DBAPIError

from alerter.store import migrate
from alerter.store.database import engine_of
from alerter.store.tables import metadata

UNSAFE: Final = ("fsync", "synchronous_commit", "full_page_writes")
"""They matter when a machine loses its power. No test does that to this server, and its data go with it."""
START_ATTEMPTS: Final = 5


class Databases:
    """Makes databases on one server: empty ones, and ones with the tables of today, which are lent again and again."""

    def __init__(self, admin: Engine) -> None:
        self._admin = admin
        self._made: list[str] = []
        self._free: list[URL] = []

    def empty(self) -> str:
        """The SQLAlchemy URL of a new database."""
        return _words(self._new())

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a database with all tables and no rows. Whoever borrows it leaves the tables as they are.

        Making a database writes eight megabytes; emptying one costs some milliseconds."""
        url = self._wiped() or self._migrated()
        try:
            yield _words(url)
        finally:
            self._free.append(url)

    def drop_all(self) -> None:
        with self._admin.connect() as connection:
            for name in self._made:
                connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))

    def _new(self) -> URL:
        name = f"firebreak_{uuid.uuid4().hex[:12]}"
        with self._admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        self._made.append(name)
        return self._admin.url.set(database=name)

    def _wiped(self) -> URL | None:
        """One that came back; `None`: there is none, or a test that failed holds on to it."""
        while self._free:
            url = self._free.pop()
            with suppress(DBAPIError):
                _wipe(url)
                return url
        return None

    def _migrated(self) -> URL:
        url = self._new()
        engine = engine_of(_words(url))
        migrate.up(engine)
        engine.dispose()
        return url


def _words(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _wipe(url: URL) -> None:
    """Every row goes, and numbers begin anew: the next test finds what the first one found."""
    engine = engine_of(_words(url))
    try:
        with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
            connection.execute(text("SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"))
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """All that it made is gone in the end."""
    if (dsn := os.environ.get("PG_DSN")) is not None:
        with _administering(dsn) as admin:
            databases = Databases(admin)
            try:
                yield databases
            finally:
                databases.drop_all()
        return
    with tempfile.TemporaryDirectory(prefix="firebreak-pg-", ignore_cleanup_errors=True) as folder:
        own = _started(folder)
        try:
            with _administering(own.get_uri()) as admin:
                with admin.connect() as connection:
                    for name in UNSAFE:
                        connection.execute(text(f"ALTER SYSTEM SET {name} = off"))
                    connection.execute(text("SELECT pg_reload_conf()"))
                yield Databases(admin)
        finally:
            own.cleanup()


def _started(folder: str) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # it says where its own files go
            from pgserver.postgres_server import get_server

            for attempt in itertools.count(1):
                try:
                    # A folder of its own: what did not start in time may do so yet.
                    return get_server(f"{folder}/{attempt}", cleanup_mode="stop")
                except subprocess.TimeoutExpired:  # it gives a server ten seconds, and a loaded machine may need more
                    if attempt == START_ATTEMPTS:
                        raise
    except Exception as error:  # noqa: BLE001 - whatever keeps it from starting is why there is none
        why = f"NO POSTGRESQL, NOT TESTED AGAINST THE REAL THING: {type(error).__name__}: {error}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(why)
        pytest.skip(why)


@contextmanager
def _administering(dsn: str) -> Iterator[Engine]:
    url: URL = make_url(dsn).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        yield engine
    finally:
        engine.dispose()
