"""One real PostgreSQL for the whole test session, as the fixture `postgres`: a function that makes an empty database.

From `PG_DSN` (a superuser's, of a server for tests), or `pgserver` from PyPI. Without either the tests that want one are
skipped, and say so; where CI=true that is a failure.
"""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

MakeDatabase = Callable[[], str]


@pytest.fixture(scope="session")
def postgres() -> Iterator[MakeDatabase]:
    """Each call makes a database and answers its SQLAlchemy URL; all are dropped in the end."""
    with tempfile.TemporaryDirectory(prefix="firebreak-pg-", ignore_cleanup_errors=True) as folder:
        dsn, server = os.environ.get("PG_DSN"), None
        if dsn is None:
            try:
                with warnings.catch_warnings(action="ignore"):  # it says where its own files go
                    from pgserver.postgres_server import get_server

                    server = get_server(folder, cleanup_mode="stop")
                dsn = server.get_uri()
            except Exception as error:  # noqa: BLE001 - whatever keeps it from starting is why there is none
                why = f"NO POSTGRESQL, NOT TESTED AGAINST THE REAL THING: {type(error).__name__}: {error}"
                if os.environ.get("CI", "").lower() == "true":
                    pytest.fail(why)
                pytest.skip(why)
        url = make_url(dsn).set(drivername="postgresql+psycopg")
        admin = create_engine(url, isolation_level="AUTOCOMMIT")
        made: list[str] = []

        def make() -> str:
            name = f"firebreak_{uuid.uuid4().hex[:12]}"
            with admin.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
            made.append(name)
            return url.set(database=name).render_as_string(hide_password=False)

        try:
            yield make
        finally:
            with admin.connect() as connection:
                for name in made:
                    connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            admin.dispose()
            if server is not None:
                server.cleanup()
